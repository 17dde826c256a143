package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"cw/perfcheck"
	"cw/schema"
)

// look refuses a run whose directories no machine can test, before the other
// tests take their time. What only some machines lack is for prepare to tell.
func (r *runner) look(ctx context.Context) error {
	up := r.fleet.Up()
	errs := Each(up, func(m *Member) error {
		return m.a.Call(ctx, opLook, PrepareArgs{Dirs: r.o.Dirs, Options: r.o.Disk}, nil)
	})
	if slices.Contains(errs, nil) {
		return nil
	}
	return errors.Join(errs...)
}

// prepare makes the files of the disk tests on all machines. A machine whose
// directories must not be tested is an error of the run when it is the only
// one, and of that machine's tests otherwise.
func (r *runner) prepare(ctx context.Context) error {
	var mu sync.Mutex
	done, total := map[string]int64{}, map[string]int64{}
	show := func() {
		var d, t int64
		for name := range total {
			d += done[name]
			t += total[name]
		}
		r.o.Reporter.Phase(fmt.Sprintf("filling the test files: %s of %s", schema.FormatSize(d), schema.FormatSize(t)))
	}
	args := PrepareArgs{Dirs: r.o.Dirs, Clean: r.o.Clean, Options: r.o.Disk}
	args.Options.Seed = r.o.Seed
	up := r.fleet.Up()
	errs := Each(up, func(m *Member) error {
		p, err := m.Prepare(ctx, args, func(d, t int64) {
			mu.Lock()
			defer mu.Unlock()
			done[m.Name], total[m.Name] = d, t
			show()
		})
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for _, l := range p.Leftovers {
			r.leftover(m, l.String(), "an earlier run")
		}
		if m.Hello.Inventory == nil {
			m.Hello.Inventory = map[string]any{}
		}
		m.Hello.Inventory["test_dirs"] = p.Facts
		if len(args.Dirs) == 0 {
			var dirs []string
			for _, f := range p.Facts {
				dirs = append(dirs, f.Dir)
			}
			r.o.Reporter.Warn(fmt.Sprintf("%s: the data disks are %s; --dir names others", m.Name, strings.Join(dirs, ", ")))
		}
		return nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	bad := 0
	for i, m := range up {
		if errs[i] != nil {
			bad++
			m.noDisk = errs[i]
		}
	}
	if bad == len(up) {
		return errors.Join(errs...)
	}
	for i := range up {
		if errs[i] != nil {
			r.o.Reporter.Warn(errs[i].Error())
		}
	}
	return nil
}

// release removes the files of the disk tests.
func (r *runner) release(ctx context.Context) {
	for _, err := range Each(r.fleet.Up(), func(m *Member) error { return m.Release(ctx) }) {
		if err != nil {
			r.o.Reporter.Warn(err.Error())
		}
	}
}

// unfit is why a seat cannot run a test of an area; nil when it can.
func (s seat) unfit(area perfcheck.Area) error {
	if area == perfcheck.Disk && s.from.noDisk != nil {
		return s.from.noDisk
	}
	if area == perfcheck.Object && s.from.noObjects != nil {
		return s.from.noObjects
	}
	return s.lost()
}
