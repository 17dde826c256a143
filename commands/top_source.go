package commands

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"cw/tui/source"
)

// topSource is where the snapshots come from. done ends a recording and tells
// what went wrong with it.
func (a *App) topSource(ctx context.Context, cluster string, o topOptions) (src source.Source, done func() error, err error) {
	done = func() error { return nil }
	switch {
	case o.replay != "":
		return a.replaySource(o)
	case o.fake != "":
		src, err = a.fakeSource(o.fake)
	default:
		src, err = a.liveSource(ctx, cluster, o)
	}
	if err != nil || o.record == "" {
		return src, done, err
	}
	return recordSource(src, o.record)
}

// liveSource looks at the world. It contacts nobody yet.
func (a *App) liveSource(ctx context.Context, cluster string, o topOptions) (source.Source, error) {
	name, err := a.topCluster(ctx, cluster)
	if err != nil {
		return nil, err
	}
	m, err := a.manager(ctx)
	if err != nil {
		return nil, err
	}
	m.Pool = a.quietPool
	return source.NewLive(source.LiveOptions{
		Cluster: name, Manager: m, Pool: a.watchPool, Store: m.Store, Interval: o.interval, ReadOnly: o.readOnly, Log: a.Log,
	}), nil
}

// topCluster is the cluster that is meant: the one that is named, the only
// one there is, or none.
func (a *App) topCluster(ctx context.Context, name string) (string, error) {
	st, err := a.openStore(ctx)
	if err != nil {
		return "", err
	}
	if name != "" {
		_, err := st.Cluster(ctx, name)
		return name, err
	}
	all, err := st.Clusters(ctx)
	if err != nil || len(all) == 0 {
		return "", err
	}
	if len(all) > 1 {
		names := make([]string, 0, len(all))
		for _, c := range all {
			names = append(names, c.Name)
		}
		return "", usagef("name one: cw top "+names[0], "there are %d clusters: %s", len(all), strings.Join(names, ", "))
	}
	return all[0].Name, nil
}

func (a *App) replaySource(o topOptions) (source.Source, func() error, error) {
	done := func() error { return nil }
	speed, err := parseSpeed(o.speed)
	if err != nil {
		return nil, done, err
	}
	in := a.IO.In
	if o.replay == "-" {
		if !o.once && o.watch == 0 {
			return nil, done, usagef("write it to a file first", "--replay -: the dashboard needs standard input for its keys")
		}
	} else {
		f, err := os.Open(o.replay)
		if err != nil {
			return nil, done, usagef("a recording is made with: cw top --record FILE", "open the recording: %w", err)
		}
		in, done = f, f.Close
	}
	return source.Replay(in, speed), done, nil
}

// recordSource writes what a source sends into a new file, which only its
// owner may read: it holds people's queries.
func recordSource(src source.Source, path string) (source.Source, func() error, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the user names it
	if errors.Is(err, os.ErrExist) {
		return nil, nil, usagef("name a new file", "%s exists already: a recording overwrites nothing", path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open the recording: %w", err)
	}
	failed := make(chan error, 1)
	rec := source.Record(redacting{src}, f, func(err error) { failed <- err }) // which is told once
	return rec, func() error {
		err := f.Close()
		select {
		case first := <-failed:
			return fmt.Errorf("record into %s: %w", path, first)
		default:
			return err
		}
	}, nil
}

// redacting is a source whose snapshots may be kept: without the passwords
// that people write into their queries.
type redacting struct{ source.Source }

// Start implements source.Source.
func (r redacting) Start(ctx context.Context) (<-chan *source.Snapshot, error) {
	in, err := r.Source.Start(ctx)
	if err != nil {
		return nil, err
	}
	out := make(chan *source.Snapshot)
	go func() {
		defer close(out)
		for s := range in {
			select {
			case out <- shownSnapshot(s):
			case <-ctx.Done(): // and on until the source has ended
			}
		}
	}()
	return out, nil
}

// parseSpeed reads 4x, 0.5x or 4.
func parseSpeed(text string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, "x"), 64)
	if err != nil || !(n > 0 && n <= 1e6) {
		return 0, usagef("write it as 4x or 0.5x", "--speed %q is not known", text)
	}
	return n, nil
}

func (a *App) fakeSource(text string) (source.Source, error) {
	o := source.FakeOptions{Loads: 4, Sessions: 24, Events: 40, Start: a.Now()}
	if n, err := fmt.Sscanf(text, "%d:%d:%d", &o.Seed, &o.Hosts, &o.SegmentsPerHost); err != nil || n != 3 || o.Hosts < 0 || o.SegmentsPerHost < 0 {
		return nil, usagef("write it as 1:16:32", "--fake %q: SEED:HOSTS:SEGMENTS", text)
	}
	return source.NewFake(o), nil
}
