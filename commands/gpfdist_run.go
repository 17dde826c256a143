package commands

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"cw/fault"
	"cw/loadspec/fdist"
)

const gpfdistUsage = `gpfdist -- file distribution web server, by cw

usage: gpfdist [-d <directory>] [-p <http(s)_port>] [-P <last_port>] [-l <log_file>] [-t <timeout>]
               [-m <maxlen>] [-S] [-w <timeout>] [-k <timeout>] [-c file] [--compress]
               [--ssl <certificates_directory>] [--ssl_verify_peer on|off] [-v | -V | -s]

       gpfdist [-? | --help] | --version

        -?, --help : print this screen
        -v         : verbose mode
        -V         : more verbose
        -s         : simplified minimum log
        -p port    : port to serve HTTP(S), default is 8080
        -P port    : last of the ports to try, from -p on
        -d dir     : serve files under the specified directory, default is '.'
        -l logfn   : log filename
        -t tm      : timeout in seconds for a request's header, default is 5
        -m maxlen  : max data row length expected, in bytes. default is 32768
        -S         : what was written is on the disk when a statement ends
        -w timeout : seconds before a target is closed, for segments that come late
        -k timeout : seconds after which a write nobody continues is given up
        -c file    : configuration file for transformations
        --ssl dir  : start HTTPS server with the certificates of the directory
        --ssl_verify_peer on|off : segments have to show a certificate, default is on
        --compress : zstd to and from segments that can do it
        --version  : print version information

`

func gpfdistVersion() string { return "cw " + readVersion().Version }

// idleSession is when a write that nobody continues is given up, unless -k
// says otherwise: gpfdist does it after 300 s if another session begins, which
// ends slow statements.
const idleSession = time.Hour

// cText is an operating system's error as C spells it.
func cText(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	text := errno.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// gpfdistMain is the program gpfdist. It keeps no state and reads no settings
// of cw's.
func gpfdistMain(ctx context.Context, streams *Streams, getenv func(string) string, args []string) int {
	o, err := parseGpfdist(args)
	if err == nil {
		var cwd string
		if cwd, err = os.Getwd(); err != nil {
			err = gpfdistRefuse("Error: cannot access directory '.'\nPlease run gpfdist from a different location")
		} else {
			err = o.validate(cwd)
		}
	}
	var stop *gpfdistStop
	if errors.As(err, &stop) {
		return stop.print(streams)
	}
	// Whoever reads the log may leave; gpload does.
	signal.Ignore(syscall.SIGPIPE)
	lines := fdist.NewLineLog(streams.Out)
	lines.Simple, lines.VeryVerbose = o.simple, o.veryVerbose
	fatal := func(err error) int {
		lines.Print(fdist.LevelError, fdist.Where{}, err.Error())
		_, _ = fmt.Fprintln(streams.Out, "          ... exiting")
		if hint := fault.HintOf(err); hint != "" {
			_, _ = fmt.Fprintln(streams.Err, "hint: "+hint)
		}
		return 1
	}
	so, err := o.serverOptions(lines, streams.Err)
	if err != nil {
		_, _ = fmt.Fprintln(streams.Err, err)
		return 1
	}
	var conf *tls.Config
	if o.ssl != "" {
		if conf, err = fdist.TLS(o.ssl, o.verifyPeer); err != nil {
			return fatal(err)
		}
		for _, w := range fdist.TLSWarnings(conf, time.Now()) {
			lines.Print(fdist.LevelWarn, fdist.Where{}, w)
		}
	}
	say := func(level fdist.Level, text string) {
		switch {
		case level == fdist.LevelVerbose && o.verbose:
			lines.Print(fdist.LevelWarn, fdist.Where{}, text)
		case level != fdist.LevelVerbose:
			lines.Print(level, fdist.Where{}, text)
		}
	}
	listeners, port, err := fdist.Listen(ctx, o.bind, o.port, o.lastPort, say)
	if err != nil {
		return fatal(err)
	}
	scheme := "HTTP"
	if conf != nil {
		scheme = "HTTPS"
		for i, l := range listeners {
			listeners[i] = tls.NewListener(l, conf)
		}
	}
	_, _ = fmt.Fprintf(streams.Out, "Serving %s on port %d, directory %s\n", scheme, port, o.dir)
	if o.log != "" {
		f, err := os.OpenFile(o.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
		if err != nil {
			return fatal(fmt.Errorf("failed to redirect stdout to log: %w", err))
		}
		defer func() { _ = f.Close() }()
		lines.Redirect(f)
	}
	s := fdist.New(so)
	if err := watchdog(ctx, getenv("GPFDIST_WATCHDOG_TIMER"), s, lines); err != nil {
		_, _ = fmt.Fprintln(streams.Err, err)
		return 1
	}
	return runGpfdist(ctx, s, so, lines, listeners, fatal)
}

func runGpfdist(ctx context.Context, s *fdist.Server, so fdist.Options, lines *fdist.LineLog, listeners []net.Listener, fatal func(error) int) int {
	if out, ok := so.Outputs.(*fdist.FileOutputs); ok {
		go out.Sweep(ctx)
	}
	stopping := context.AfterFunc(ctx, func() {
		lines.Print(fdist.LevelWarn, fdist.Where{}, "signal 15 received. gpfdist exits")
		s.LogStatus()
	})
	defer stopping()
	if err := s.Serve(ctx, listeners...); err != nil && ctx.Err() == nil {
		return fatal(err)
	}
	return 1
}

// serverOptions is what the options mean to the server.
func (o *gpfdistOptions) serverOptions(lines *fdist.LineLog, console io.Writer) (fdist.Options, error) {
	in := &fdist.FileInputs{Dir: o.dir, BlockSize: o.maxLine}
	out := &fdist.FileOutputs{Dir: o.dir, Sync: o.sync, Log: lines.Log}
	if o.transforms != "" {
		t, err := fdist.ReadTransforms(o.transforms, o.dir)
		if err != nil {
			return fdist.Options{}, err
		}
		in.Transform, out.Transform = t.Inputs(console), t.Outputs(console)
	}
	so := fdist.Options{
		Inputs: in, Outputs: out, Log: lines.Log, Version: gpfdistVersion(), Compress: o.compress, ForcePath: o.force, ForceProto: o.proto,
		HeaderTimeout: time.Duration(o.timeout) * time.Second, Linger: time.Duration(o.linger) * time.Second, SessionIdle: idleSession,
	}
	if o.timeout == 0 {
		so.HeaderTimeout = -1
	}
	if o.idle > 0 {
		so.SessionIdle = time.Duration(o.idle) * time.Second
	}
	return so, nil
}

// watchdog makes the program abort when nothing was served for some seconds,
// as tests of Greenplum expect it.
func watchdog(ctx context.Context, setting string, s *fdist.Server, lines *fdist.LineLog) error {
	if setting == "" {
		return nil
	}
	seconds := atoi(setting)
	if c := strings.TrimLeft(setting, " \t+-"); c == "" || c[0] < '0' || c[0] > '9' {
		return fmt.Errorf("incorrect watchdog timer: %s", setting)
	}
	if seconds <= 0 {
		return nil
	}
	lines.Log(fdist.LevelInfo, fdist.Where{}, fmt.Sprintf("Watchdog enabled, abort in %d seconds if no activity", seconds))
	go func() {
		st := s.Stats()
		seen, since := int64(-1), time.Now()
		for tick := time.NewTicker(200 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
			if now := st.Sessions.Load() + st.SentBytes.Load() + st.Received.Load(); now != seen {
				seen, since = now, time.Now()
			}
			if time.Since(since) > time.Duration(seconds)*time.Second {
				lines.Log(fdist.LevelInfo, fdist.Where{}, "Watchdog timer expired, abort gpfdist")
				abort()
			}
		}
	}()
	return nil
}
