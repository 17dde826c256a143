package gpload

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Exit codes.
const (
	exitDone     = 0
	exitRejected = 1
	exitFailed   = 2
)

// Env is the world of a run.
type Env struct {
	Out, Err   io.Writer
	ReadSecret func() (string, error) // asks on the terminal, without showing
	Getenv     func(string) string
	Now        func() time.Time
	Signals    <-chan os.Signal // what ends the run; nil: only the context
	Start      StartServer
	Version    string // of this program
}

// Run does what gpload does with these arguments (without the program's name)
// and returns its exit code: 0 loaded, 1 loaded with rejected rows, 2 failed.
func Run(ctx context.Context, e Env, args []string) int {
	o, err := parseOptions(args)
	var usage *usageError
	switch {
	case errors.As(err, &usage) && usage.help:
		_, _ = io.WriteString(e.Out, help)
		_, _ = io.WriteString(e.Err, "ERROR: "+usage.text+"\n\n")
		return exitFailed
	case err != nil:
		_, _ = io.WriteString(e.Err, err.Error())
		return exitFailed
	case o.version:
		_, _ = io.WriteString(e.Err, "gpload version "+e.Version+"\n")
		return exitDone
	case o.help:
		_, _ = io.WriteString(e.Out, help)
		return exitFailed
	}
	lg := &logger{out: e.Out, show: o.Level, now: e.Now}
	file, err := openLog(o, e)
	if err != nil {
		lg.logf(LevelError, "%v", err)
		return exitFailed
	}
	defer func() { _ = file.Close() }()
	lg.file = file
	c, err := begin(o, lg)
	if err != nil {
		lg.logf(LevelError, "%v", err)
		return exitFailed
	}
	return e.load(ctx, o, c, lg, file.Name())
}

// begin reads the control file; what goes wrong here ends without a summary.
func begin(o Options, lg *logger) (*config, error) {
	if o.conflict {
		return nil, errors.New("-q conflicts with -v and -V")
	}
	if o.Dry {
		lg.logf(LevelInfo, "gpload has the -D option, so it does not actually load any data")
	}
	c, err := readConfig(o.File)
	if err != nil {
		return nil, err
	}
	lg.logf(LevelInfo, "gpload session started %s", lg.now().Format(stamp))
	return c, nil
}

// openLog opens the log file for appending, by default one a day in
// ~/gpAdminLogs.
func openLog(o Options, e Env) (*os.File, error) {
	path := o.LogFile
	if path == "" {
		home := e.Getenv("HOME")
		if home == "" {
			home = "."
		}
		dir := filepath.Join(home, "gpAdminLogs")
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // as gpload makes it, other tools read there
			return nil, fmt.Errorf("could not open logfile %s: %w", dir, err)
		}
		path = filepath.Join(dir, "gpload_"+e.Now().Format("20060102")+".log")
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // as gpload makes it, the user names it
	if err != nil {
		return nil, fmt.Errorf("could not open logfile %s: %s", path, pyOSError(err, path))
	}
	return f, nil
}

// errSignal ends a run whose line is written already.
var errSignal = errors.New("received a signal")

func (e Env) load(ctx context.Context, o Options, c *config, lg *logger, logFile string) int {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := e.watch(ctx, cancel, lg)
	defer stop()
	r := &course{
		log: lg, start: e.Start, hostname: hostname, ask: e.ask, suffix: unique(), began: time.Now(),
	}
	r.rejects = func() (io.WriteCloser, string, error) {
		path := filepath.Join(filepath.Dir(logFile), "gpload_rejected_"+r.suffix+".csv")
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // beside the log
		return f, path, err
	}
	var err error
	if r.settings, err = newSettings(o, c, e.Getenv, lg); err == nil {
		err = r.run(ctx)
	}
	if err != nil && ctx.Err() == nil {
		lg.logf(LevelError, "%v", err)
	}
	ended, endCancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpPatience)
	defer endCancel()
	if r.settings != nil {
		r.close(ended)
	}
	lg.logf(LevelInfo, "rows Inserted          = %d", r.inserted)
	lg.logf(LevelInfo, "rows Updated           = %d", r.updated)
	lg.logf(LevelInfo, "data formatting errors = %d", r.rejected)
	switch {
	case err != nil:
		lg.logf(LevelInfo, "gpload failed")
		return exitFailed
	case r.warned:
		lg.logf(LevelInfo, "gpload succeeded with warnings")
		return exitRejected
	}
	lg.logf(LevelInfo, "gpload succeeded")
	return exitDone
}

// cleanUpPatience is how long rolling back and dropping may take at the end.
const cleanUpPatience = 60 * time.Second

// watch ends the load at the first signal; further ones are ignored, as the
// load is ending already.
func (e Env) watch(ctx context.Context, cancel context.CancelCauseFunc, lg *logger) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-e.Signals:
			number := 0
			if n, ok := s.(syscall.Signal); ok {
				number = int(n)
			}
			lg.logf(LevelInfo, "received signal %d", number)
			cancel(errSignal)
		case <-ctx.Done():
		}
	}()
	return func() {
		cancel(nil)
		<-done
	}
}

func (e Env) ask() (string, error) {
	_, _ = io.WriteString(e.Err, "Password: ")
	password, err := e.ReadSecret()
	_, _ = io.WriteString(e.Err, "\n")
	return password, err
}

// unique makes names unique, in the form of a UUID with underscores, which
// tools look for.
func unique() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return fmt.Sprintf("%x_%x_%x_%x_%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// hostname is this machine's name, in full when asked to.
func hostname(ctx context.Context, full bool) (string, error) {
	name, err := os.Hostname()
	if err != nil || !full {
		return name, err
	}
	resolver := net.Resolver{}
	ctx, cancel := context.WithTimeout(ctx, lookupPatience)
	defer cancel()
	addresses, err := resolver.LookupHost(ctx, name)
	if err != nil {
		return name, nil //nolint:nilerr // the short name is what there is
	}
	for _, a := range addresses {
		names, err := resolver.LookupAddr(ctx, a)
		if err != nil {
			continue
		}
		for _, n := range names {
			if n = strings.TrimSuffix(n, "."); strings.Contains(n, ".") {
				return n, nil
			}
		}
	}
	return name, nil
}

const lookupPatience = 10 * time.Second
