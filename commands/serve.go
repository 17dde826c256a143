package commands

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cw/fault"
	"cw/loadspec/fdist"
	"cw/schema"
)

// serveOptions are the flags of cw serve.
type serveOptions struct {
	dir        string
	s3         []string
	role       string
	caFile     string
	endpoint   string
	region     string
	profile    string
	pathStyle  bool
	merge      bool
	compress   string
	bind       string
	port       int
	portRange  string
	advertise  string
	limit      string
	linger     time.Duration
	idle       time.Duration
	tlsDir     string
	verifyPeer bool
	transforms string
	block      string
	sync       bool
	readOnly   bool
	zstd       bool
	metrics    string
	control    string
	log        string
	check      string
}

func newServe(a *App) *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use: "serve", Short: "Serve files and objects to external tables, as gpfdist does", Args: noArgs,
		Long: `Serve files and objects of S3-compatible stores to Greenplum, Cloudberry and their
forks: external tables with gpfdist:// URLs read and write them. Rows that a
statement writes appear when it ends, whole, or not at all. The speed can be
changed while statements run: cw serve limit 50MB/s.

Everybody who can reach the port can read what is served, unless --tls-dir asks
for certificates: bind it to the network of the segments. The server ends with
SIGINT or SIGTERM; statements under way fail then.` + exitHelp(5, 7),
		Example: `  cw serve --dir /data/in                                  # gpfdist://thishost:8080/*.csv
  cw serve --dir /data --port-range 8080-8099 --limit 200MB/s
  cw serve --s3 lake=s3://warehouse/2026 --s3-endpoint https://s3.example.com
  cw serve --dir /data --advertise etl1 --tls-dir /etc/cw/tls
  cw serve --check gpfdist://etl1:8080/in/orders.csv       # is one there, and what does it say?
  cw serve status
  cw serve limit --user loader 20MB/s`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.check != "" {
				return a.serveCheck(cmd.Context(), o)
			}
			return a.serve(cmd.Context(), o, cmd.Flags().Changed)
		},
	}
	f := c.Flags()
	f.StringVar(&o.dir, "dir", "", "folder whose files are served")
	f.StringArrayVar(&o.s3, "s3", nil, "NAME=s3://bucket/prefix: serve its objects below /NAME/; may be repeated")
	f.StringVar(&o.endpoint, "s3-endpoint", "", "URL of an S3-compatible store (default: Amazon's)")
	f.StringVar(&o.region, "s3-region", "", "region of the store")
	f.StringVar(&o.profile, "s3-profile", "", "profile of ~/.aws")
	f.StringVar(&o.role, "s3-role-arn", "", "role to take with the credentials")
	f.StringVar(&o.caFile, "s3-ca-file", "", "PEM file of the authorities to trust instead of the machine's")
	f.BoolVar(&o.pathStyle, "s3-path-style", false, "address buckets in the path, as most stores other than Amazon's want it")
	f.BoolVar(&o.merge, "s3-merge", false, "writes: one object for all segments of a statement, not one each")
	f.StringVar(&o.compress, "s3-compress", "", "writes: none, gzip or zstd (default: as the name ends)")
	f.StringVar(&o.bind, "bind", "", "address to listen on (default: all)")
	f.IntVar(&o.port, "port", 8080, "port to listen on, 0 for any")
	f.StringVar(&o.portRange, "port-range", "", "FIRST-LAST: take the first of these ports that is free")
	f.StringVar(&o.advertise, "advertise", "", "host name or address that segments use; it is tried at the start")
	f.StringVar(&o.limit, "limit", "", "bytes of rows per second, all together: 200MB/s, none")
	f.DurationVar(&o.linger, "linger", 0, "keep a write's object or pipe open this long for segments that come late")
	f.DurationVar(&o.idle, "idle", idleSession, "give up a write that nobody continues after this time")
	f.StringVar(&o.tlsDir, "tls-dir", "", "serve gpfdists:// with server.crt, server.key and root.crt of this folder")
	f.BoolVar(&o.verifyPeer, "tls-verify-peer", true, "segments have to show a certificate that root.crt knows")
	f.StringVar(&o.transforms, "transforms", "", "file with transformations, as for gpfdist -c")
	f.StringVar(&o.block, "block", "32KiB", "longest row, and how much is sent at a time, 32KiB to 256MiB")
	f.BoolVar(&o.sync, "sync", false, "what was written is on the disk when its statement ends")
	f.BoolVar(&o.readOnly, "read-only", false, "refuse writes")
	f.BoolVar(&o.zstd, "zstd", false, "compress what goes to and from segments that can do it")
	f.StringVar(&o.metrics, "metrics", "", "ADDRESS:PORT of /metrics for Prometheus")
	f.StringVar(&o.control, "control", "", "socket for cw serve status and limit (default: in cw's state folder, by port)")
	f.StringVar(&o.log, "log", "", "file for gpfdist's log lines (default: cw's own log, without those of single requests)")
	f.StringVar(&o.check, "check", "", "ask the server at a gpfdist:// URL instead of serving")
	c.AddCommand(newServeStatus(a), newServeLimit(a))
	return c
}

// ports is the range to look for a free port in.
func (o serveOptions) ports(changed func(string) bool) (first, last int, err error) {
	if o.portRange == "" {
		if o.port < 0 || o.port > 65535 {
			return 0, 0, usagef("", "--port %d is no port", o.port)
		}
		return o.port, o.port, nil
	}
	if changed("port") {
		return 0, 0, usagef("give one of them", "--port and --port-range exclude each other")
	}
	from, to, ok := strings.Cut(o.portRange, "-")
	first, err1 := strconv.Atoi(from)
	last, err2 := strconv.Atoi(to)
	if !ok || err1 != nil || err2 != nil || first < 1 || last > 65535 || first > last {
		return 0, 0, usagef("write it like 8080-8099", "--port-range %q is no range of ports", o.portRange)
	}
	return first, last, nil
}

// serverDoc tells where a server is.
type serverDoc struct {
	URL       string `json:"url"`
	Port      int    `json:"port"`
	Directory string `json:"directory,omitempty"`
	Control   string `json:"control"`
	Metrics   string `json:"metrics,omitempty"`
	PID       int    `json:"pid"`
}

func (a *App) serve(ctx context.Context, o serveOptions, changed func(string) bool) error {
	first, last, err := o.ports(changed)
	if err != nil {
		return err
	}
	rate, err := limitFlag(o.limit, 0)
	if err != nil {
		return err
	}
	budget := fdist.NewBudget(rate)
	log, closeLog, err := a.serveLog(o.log)
	if err != nil {
		return err
	}
	defer closeLog()
	so, files, err := a.servePlaces(o, log)
	if err != nil {
		return err
	}
	so.Limits = budget
	var conf *tls.Config
	if o.tlsDir != "" {
		if conf, err = fdist.TLS(o.tlsDir, o.verifyPeer); err != nil {
			return err
		}
		for _, w := range fdist.TLSWarnings(conf, a.Now()) {
			a.warnf("%s", w)
		}
	} else if changed("tls-verify-peer") {
		return usagef("add --tls-dir FOLDER", "--tls-verify-peer is for servers with --tls-dir")
	}
	listeners, port, err := fdist.Listen(ctx, o.bind, first, last, nil)
	if err != nil {
		return err
	}
	doc := serverDoc{URL: serveURL(o, port), Port: port, Directory: o.dir, Control: o.control, PID: os.Getpid()}
	if doc.Control == "" {
		doc.Control = filepath.Join(a.serveDir(), strconv.Itoa(port)+".sock")
	}
	control, err := fdist.ListenControl(ctx, doc.Control)
	if err != nil {
		closeAll(listeners)
		return err
	}
	metrics, err := listenMetrics(ctx, o.metrics)
	if err != nil {
		closeAll(append(listeners, control))
		return err
	}
	if metrics != nil {
		doc.Metrics = "http://" + metrics.Addr().String() + "/metrics"
	}
	if conf != nil {
		for i, l := range listeners {
			listeners[i] = tls.NewListener(l, conf)
		}
	}
	s := fdist.New(so)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, 3)
	go func() { ended <- s.Serve(ctx, listeners...) }()
	running := 1
	beside := func(serve func() error) { running++; go func() { ended <- serve() }() }
	beside(func() error {
		return (&fdist.Control{Server: s, Budget: budget, URL: doc.URL, Dir: o.dir}).Serve(ctx, control)
	})
	if metrics != nil {
		beside(func() error { return serveMetrics(ctx, metrics, fdist.Metrics(s, budget)) })
	}
	if files != nil {
		go files.Sweep(ctx)
	}
	err = a.advertised(ctx, o, doc.URL)
	if err == nil {
		err = a.printServer(doc)
	}
	if err != nil {
		cancel(err)
	}
	for range running {
		if e := <-ended; e != nil {
			err = errors.Join(err, e)
		}
		cancel(nil) // one that ends, ends all
	}
	if errors.Is(context.Cause(ctx), ErrInterrupted) {
		return nil // this is how a server ends
	}
	return err
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}

// serveURL is the server's URL for segments.
func serveURL(o serveOptions, port int) string {
	host := o.advertise
	if host == "" {
		host = o.bind
	}
	if host == "" {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	scheme := "gpfdist://"
	if o.tlsDir != "" {
		scheme = "gpfdists://"
	}
	return scheme + net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port)) + "/"
}

// serveDir holds the control sockets.
func (a *App) serveDir() string { return filepath.Join(a.Paths.State, "serve") }

func (a *App) printServer(d serverDoc) error {
	if a.flags.output != "table" && a.flags.output != "wide" {
		return a.print(object("Server", d), table{cols: cols("URL", "PORT", "DIRECTORY", "CONTROL", "METRICS", "PID"), rows: [][]string{
			{d.URL, strconv.Itoa(d.Port), d.Directory, d.Control, d.Metrics, strconv.Itoa(d.PID)},
		}})
	}
	_, err := fmt.Fprintf(a.IO.Out, "Serving %s\n", d.URL)
	a.infof("look at it with: cw serve status --port %d", d.Port)
	return err
}

func listenMetrics(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil //nolint:nilnil // no metrics wanted
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fault.New(fault.Failed, "write it like 127.0.0.1:9188", "--metrics: %w", err)
	}
	return l, nil
}

func serveMetrics(ctx context.Context, l net.Listener, h http.Handler) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// serveLog is where the server's lines go: gpfdist's form in a file of its
// own, or what matters of them in cw's log.
func (a *App) serveLog(file string) (fdist.Log, func(), error) {
	if file == "" {
		return func(level fdist.Level, at fdist.Where, text string) {
			if level >= fdist.LevelWarn {
				a.Log.Warn(text, "session", at.Session, "request", at.Request, "segment", at.Segment)
			}
		}, func() {}, nil
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open the log: %w", err)
	}
	return fdist.NewLineLog(f).Log, func() { _ = f.Close() }, nil
}

// blockSize is --block within gpfdist's bounds.
func blockSize(text string) (int, error) {
	n, err := schema.ParseSize(text)
	if err != nil {
		return 0, usagef("", "--block: %v", err)
	}
	if n < 32<<10 || n > 256<<20 {
		return 0, usagef("", "--block %s is not between 32KiB and 256MiB", text)
	}
	return int(n), nil
}
