package run

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"sync"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/cpu"
	"cw/perfcheck/db"
	"cw/perfcheck/disk"
	"cw/perfcheck/memory"
	"cw/perfcheck/net"
	"cw/perfcheck/object"
	"cw/perfcheck/replace"
	"cw/perfcheck/snapshot"
	"cw/perfcheck/vip"
	"cw/remote/agent"
)

// The calls that an agent answers.
const (
	opHello   = "hello"
	opClean   = "clean"
	opLook    = "look"
	opPrepare = "prepare"
	opRelease = "release"
	opListen  = "listen"
	opCopy    = "copy."    // and prepare, write, read or close
	opMeasure = "measure." // and the area
)

// PrepareArgs are the directories to test and how.
type PrepareArgs struct {
	Dirs    []string // none: those that are found
	Clean   bool     // remove what an earlier run left
	Options disk.PrepareOptions
}

// Prepared is what is known of the directories once their files are made.
type Prepared struct {
	Facts     []disk.Facts
	Leftovers []disk.Leftover // of earlier runs that were killed, unless Clean
}

type prepareNote struct{ Done, Total int64 }

func noteTo(ctx context.Context, n prepareNote) { agent.Note(ctx, n) }

// ServeAgent is the far side: it measures what it is told to until its input
// ends, and removes what it made.
func ServeAgent(ctx context.Context, in io.Reader, out io.Writer) error {
	f := &farSide{life: ctx, snap: newSnapshotSet()}
	handlers := map[string]agent.Handler{
		opHello:                              f.hello,
		opClean:                              f.clean,
		opLook:                               handler(look),
		opPrepare:                            f.prepare,
		opRelease:                            f.release,
		opListen:                             f.listen,
		opCopy + "prepare":                   f.copyPrepare,
		opCopy + "write":                     f.copyDo((*disk.CopySet).Write),
		opCopy + "read":                      f.copyDo((*disk.CopySet).Read),
		opCopy + "close":                     f.copyClose,
		opMeasure + string(perfcheck.Disk):   f.disk,
		opMeasure + string(perfcheck.Net):    measured(net.Run),
		opMeasure + string(perfcheck.Memory): measured(memory.Run),
		opMeasure + string(perfcheck.CPU):    measured(cpu.Run),
		opMeasure + string(perfcheck.DB):     measured(db.Run),
		opObjectPrepare:                      f.objectPrepare,
		opObjectLeftovers:                    f.objectLeftovers,
		opObjectSweep:                        f.objectSweep,
		opObjectClose:                        f.objectClose,
		opMeasure + string(perfcheck.Object): f.object,

		opMeasure + string(perfcheck.Replace): measured(replace.Read),
	}
	maps.Copy(handlers, snapshotHandlers(f.snap))
	maps.Copy(handlers, vipHandlers(&f.eye, &f.seat))
	err := agent.Serve(ctx, in, out, handlers)
	return errors.Join(err, f.close())
}

// farSide is what an agent holds between calls.
type farSide struct {
	life context.Context //nolint:containedctx // the server of network tests lives longer than the call that opens it

	mu     sync.Mutex
	set    *disk.Set
	server *net.Server
	copies *disk.CopySet
	snap   *snapshot.Set
	eye    vip.Eye
	seat   vip.Seat

	objects *object.Set
}

// handler makes a call of a function that takes one argument.
func handler[A, R any](fn func(context.Context, A) (R, error)) agent.Handler {
	return func(ctx context.Context, data json.RawMessage) (any, error) {
		var args A
		if err := json.Unmarshal(data, &args); err != nil {
			return nil, fault.Wrap(fault.Usage, "", err)
		}
		return fn(ctx, args)
	}
}

// job is what all workloads' jobs have.
type job interface{ Phases() perfcheck.Timing }

// measured makes a call of a workload: the seconds are told as they pass and
// the machine is watched meanwhile.
func measured[J job](fn func(context.Context, J, func(perfcheck.Second)) (perfcheck.Measurement, error)) agent.Handler {
	return handler(func(ctx context.Context, j J) (Measured, error) {
		watch := watchHealth(ctx, j.Phases())
		m, err := fn(ctx, j, func(s perfcheck.Second) { agent.Note(ctx, s) })
		return Measured{m, watch()}, err
	})
}

func (f *farSide) hello(context.Context, json.RawMessage) (any, error) {
	things, nics := inventory()
	name, _ := os.Hostname()
	return Hello{Hostname: name, Inventory: things, NICs: nics, Leftovers: agent.Leftovers()}, nil
}

// clean removes the folders of agents that were killed.
func (f *farSide) clean(context.Context, json.RawMessage) (any, error) {
	var errs []error
	for _, dir := range agent.Leftovers() {
		errs = append(errs, os.RemoveAll(dir))
	}
	return nil, errors.Join(errs...)
}

// chosen are the directories that were named, or else those that are found.
func chosen(ctx context.Context, dirs []string) ([]string, error) {
	if len(dirs) > 0 {
		return dirs, nil
	}
	dirs, err := disk.Found(ctx)
	if err == nil && len(dirs) == 0 {
		err = fault.New(fault.Check, "mount the data disks, or name a directory: --dir DIR (with --allow-root-disk on the disk of /)", "no disk but that of / is mounted")
	}
	return dirs, err
}

// look tells before a run what prepare would refuse.
func look(ctx context.Context, a PrepareArgs) (any, error) {
	dirs, err := chosen(ctx, a.Dirs)
	if err != nil {
		return nil, err
	}
	return nil, disk.Look(ctx, dirs, a.Options)
}

func (f *farSide) prepare(ctx context.Context, data json.RawMessage) (any, error) {
	return handler(func(ctx context.Context, a PrepareArgs) (Prepared, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		var p Prepared
		if f.set != nil {
			return p, fault.New(fault.Usage, "", "its directories are prepared already")
		}
		var err error
		if a.Dirs, err = chosen(ctx, a.Dirs); err != nil {
			return p, err
		}
		for _, dir := range a.Dirs {
			left, err := disk.Leftovers(dir)
			if err != nil {
				return p, err
			}
			for _, l := range left {
				if !a.Clean {
					p.Leftovers = append(p.Leftovers, l)
				} else if err := disk.Remove(l); err != nil {
					return p, err
				}
			}
		}
		a.Options.On = func(done, total int64) { agent.Note(ctx, prepareNote{done, total}) }
		set, err := disk.Prepare(ctx, a.Dirs, a.Options)
		if err != nil {
			return p, err
		}
		f.set, p.Facts = set, set.Facts()
		return p, nil
	})(ctx, data)
}

func (f *farSide) release(context.Context, json.RawMessage) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.set == nil {
		return nil, nil //nolint:nilnil // there is nothing to say
	}
	err := f.set.Close()
	f.set = nil
	return nil, err
}

func (f *farSide) disk(ctx context.Context, data json.RawMessage) (any, error) {
	f.mu.Lock()
	set := f.set
	f.mu.Unlock()
	if set == nil {
		return nil, fault.New(fault.Usage, "", "no directory is prepared")
	}
	return measured(set.Run)(ctx, data)
}

func (f *farSide) listen(_ context.Context, data json.RawMessage) (any, error) {
	return handler(func(_ context.Context, o net.ListenOptions) (int, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.server != nil {
			return f.server.Port(), nil
		}
		s, err := net.Listen(f.life, o)
		if err != nil {
			return 0, err
		}
		f.server = s
		return s.Port(), nil
	})(f.life, data)
}

func (f *farSide) copyPrepare(ctx context.Context, data json.RawMessage) (any, error) {
	return handler(func(ctx context.Context, o disk.CopyOptions) (any, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		set, err := disk.PrepareCopy(ctx, o)
		if err == nil {
			f.copies = set
		}
		return nil, err
	})(ctx, data)
}

func (f *farSide) copyDo(do func(*disk.CopySet, context.Context) (disk.CopyResult, error)) agent.Handler {
	return func(ctx context.Context, _ json.RawMessage) (any, error) {
		f.mu.Lock()
		set := f.copies
		f.mu.Unlock()
		if set == nil {
			return nil, fault.New(fault.Usage, "", "no directory is prepared")
		}
		return do(set, ctx)
	}
}

func (f *farSide) copyClose(context.Context, json.RawMessage) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.copies == nil {
		return nil, nil //nolint:nilnil // there is nothing to say
	}
	err := f.copies.Close()
	f.copies = nil
	return nil, err
}

func (f *farSide) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.eye.Stop()
	tidy := context.WithoutCancel(f.life)
	errs := []error{f.snap.Close(tidy), f.seat.Close(tidy)}
	if f.server != nil {
		errs = append(errs, f.server.Close())
	}
	if f.set != nil {
		errs = append(errs, f.set.Close())
	}
	if f.copies != nil {
		errs = append(errs, f.copies.Close())
	}
	errs = append(errs, f.closeObjects(f.life))
	return errors.Join(errs...)
}
