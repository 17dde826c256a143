// Package commands is cw's command tree: one file per verb, an options
// struct, its flags and a run method each. It knows streams, output formats,
// exit codes and questions; everything else is done by the packages below.
package commands

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"cw/fault"
	"cw/remote"
	"cw/state"
)

// App is what every command works with: explicit, no globals.
type App struct {
	IO     *Streams
	Getenv func(string) string
	Now    func() time.Time
	Log    *slog.Logger
	Paths  Paths

	argv          []string // as it was typed
	flags         globalFlags
	globalDefault map[string]string
	settings      []setting
	store         *state.Store
	logFile       io.Closer
	poolsLock     sync.Mutex // the dashboard opens some while it acts
	pools         []*remote.Pool
}

type globalFlags struct {
	output   string
	progress string
	store    string
	quiet    bool
	noInput  bool
}

func newApp(io *Streams, getenv func(string) string) (*App, error) {
	paths, err := newPaths(getenv)
	if err != nil {
		return nil, err
	}
	a := &App{IO: io, Getenv: getenv, Now: time.Now, Paths: paths}
	log, closer, err := openLog(paths.LogFile())
	a.Log, a.logFile = log, closer
	if err != nil {
		a.warnf("%v: going on without a log", err)
	}
	return a, nil
}

// close ends everything the command opened.
func (a *App) close() {
	a.poolsLock.Lock()
	defer a.poolsLock.Unlock()
	for _, p := range a.pools {
		p.Close()
	}
	if a.store != nil {
		_ = a.store.Close()
	}
	if a.logFile != nil {
		_ = a.logFile.Close()
	}
}

func (a *App) storeDSN() string {
	if a.flags.store != "" {
		return a.flags.store
	}
	return a.Paths.StateDB()
}

// openStore opens the store once per command.
func (a *App) openStore(ctx context.Context) (*state.Store, error) {
	if a.store == nil {
		s, err := state.Open(ctx, a.storeDSN())
		if err != nil {
			return nil, err
		}
		a.store = s
	}
	return a.store, nil
}

// pool makes the connection pool of one cluster, with the cluster's own
// known_hosts beside the user's.
func (a *App) pool(cluster string) (*remote.Pool, error) {
	o, err := a.poolOptions(cluster)
	if err != nil {
		return nil, err
	}
	if a.IO.InTTY && !a.flags.noInput {
		o.Prompt = a.promptSecret
	}
	return a.newPool(o), nil
}

// quietPool is pool for the dashboard, whose screen nothing may write on: it
// never asks for a password.
func (a *App) quietPool(cluster string) (*remote.Pool, error) {
	o, err := a.poolOptions(cluster)
	if err != nil {
		return nil, err
	}
	return a.newPool(o), nil
}

// watchPool is quietPool for what only looks: it gives a host that is gone up
// after seconds, so that it is there again as soon as the host is.
func (a *App) watchPool(cluster string) (*remote.Pool, error) {
	o, err := a.poolOptions(cluster)
	if err != nil {
		return nil, err
	}
	o.KeepAlive, o.ConnectTimeout = 2*time.Second, 5*time.Second
	return a.newPool(o), nil
}

func (a *App) newPool(o remote.Options) *remote.Pool {
	p := remote.NewPool(o)
	a.poolsLock.Lock()
	defer a.poolsLock.Unlock()
	a.pools = append(a.pools, p)
	return p
}

func (a *App) poolOptions(cluster string) (remote.Options, error) {
	known := a.Paths.KnownHosts(cluster)
	if err := makePrivateDir(filepath.Dir(known)); err != nil {
		return remote.Options{}, err
	}
	home := a.Getenv("HOME")
	return remote.Options{
		KnownHosts:     known,
		UserKnownHosts: []string{filepath.Join(home, ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"},
		ConfigFile:     filepath.Join(home, ".ssh", "config"),
		ConnectTimeout: 10 * time.Second,
		Log:            a.Log,
	}, nil
}

// infof tells the person something that is not the result.
func (a *App) infof(format string, args ...any) {
	if !a.flags.quiet {
		_, _ = fmt.Fprintf(a.IO.Err, format+"\n", args...)
	}
	a.Log.Info(fmt.Sprintf(format, args...))
}

// warnf tells the person of something that did not stop the command.
func (a *App) warnf(format string, args ...any) {
	_, _ = fmt.Fprintf(a.IO.Err, "cw: warning: "+format+"\n", args...)
	a.Log.Warn(fmt.Sprintf(format, args...))
}

// event writes to the store's event table; a store that fails does not fail
// the command that did its work.
func (a *App) event(ctx context.Context, e state.Event) {
	s, err := a.openStore(ctx)
	if err == nil {
		err = s.AddEvent(context.WithoutCancel(ctx), e)
	}
	if err != nil {
		a.warnf("record the event: %v", err)
	}
}

func usagef(hint, format string, args ...any) error {
	return fault.New(fault.Usage, hint, format, args...)
}
