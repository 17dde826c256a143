package run

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/fdist"
)

// gpfdist is the server of a job, as segments see it.
type gpfdist struct {
	port   int
	scheme string // gpfdist, gpfdists
	cancel context.CancelFunc
	all    *errgroup.Group
}

// startGpfdist serves until stop, or until the context ends.
func (j *job) startGpfdist(ctx context.Context, o fdist.Options) (*gpfdist, error) {
	src := j.spec.Sources[0] // gpload, too, takes the server's settings from the first
	l, err := listen(ctx, src)
	if err != nil {
		return nil, err
	}
	addr, _ := l.Addr().(*net.TCPAddr)
	g := &gpfdist{port: addr.Port, scheme: "gpfdist", all: &errgroup.Group{}}
	if src.SSL {
		c, err := fdist.TLS(src.CertificatesPath, true)
		if err != nil {
			_ = l.Close()
			return nil, err
		}
		for _, text := range fdist.TLSWarnings(c, time.Now()) {
			j.o.Warn(text)
		}
		g.scheme, l = "gpfdists", tls.NewListener(l, c)
	}
	ctx, g.cancel = context.WithCancel(ctx)
	o.Log = func(level fdist.Level, where fdist.Where, text string) {
		if level >= fdist.LevelWarn {
			j.o.Log.Warn("gpfdist", "session", where.Session, "segment", where.Segment, "text", text)
		}
	}
	server := fdist.New(o)
	g.all.Go(func() error { return server.Serve(ctx, l) })
	return g, nil
}

// stop ends the server and cuts off who is connected.
func (g *gpfdist) stop(context.Context) {
	g.cancel()
	_ = g.all.Wait()
}

// server serves this machine's share of a load to the segments: readers, a
// feed and a gpfdist server.
type server struct {
	*gpfdist
	g     *greenplum
	feed  *feed
	ended chan struct{}
	err   error // of the readers, once ended is closed
}

// gpload's range of ports, which firewalls know.
const firstPort, lastPort = 8000, 9000

func (j *job) startServer(ctx context.Context) (*server, error) {
	w := &server{ended: make(chan struct{}), g: j.gp}
	j.pieces = make(chan piece, 2)
	w.feed = &feed{pieces: j.pieces, ended: w.ended, cause: func() error { return w.err }, served: j.state.served, newRow: newRow(j.spec.Format), stamp: j.stamper(), converted: j.spec.Convert != nil}
	ctx, cancel := context.WithCancel(ctx)
	var err error
	if w.gpfdist, err = j.startGpfdist(ctx, fdist.Options{Inputs: w.feed}); err != nil {
		cancel()
		return nil, err
	}
	w.cancel = cancel // ends both
	w.all.Go(func() error {
		w.err = j.readAll(ctx)
		close(w.ended)
		return nil
	})
	return w, nil
}

// newRow is the row end that the control file names; "" when the data says.
func newRow(f loadspec.Format) string {
	return map[string]string{loadspec.NewlineLF: "\n", loadspec.NewlineCR: "\r", loadspec.NewlineCRLF: "\r\n"}[f.Newline]
}

// failure is why reading ended, if it failed.
func (w *server) failure(context.Context) error {
	select {
	case <-w.ended:
		if errors.Is(w.err, context.Canceled) {
			return nil
		}
		return w.err
	default:
		return nil
	}
}

// begin prepares the next wave.
func (w *server) begin(ctx context.Context, budget int64) ([]string, error) {
	token, err := w.feed.begin(ctx, budget)
	if err != nil || token == "" {
		return nil, err
	}
	return w.locations(token), nil
}

// end tells what the wave has handed out.
func (w *server) end(context.Context) (h handed, err error) {
	h.Ranges, h.Rejected, h.Whole = w.feed.end()
	return h, nil
}

// locations are the URLs of a wave.
func (w *server) locations(token string) []string {
	var out []string
	g := w.g
	for i := range g.perHost {
		for k, a := range g.addrs {
			out = append(out, w.url(a, token+"/"+strconv.Itoa(i*len(g.addrs)+k)))
		}
	}
	return out
}

// listen takes the port that the control file names, or the first free one of
// its range.
func listen(ctx context.Context, s loadspec.Source) (net.Listener, error) {
	first, last := firstPort, lastPort
	switch {
	case s.Port != 0:
		first, last = s.Port, s.Port
	case s.PortRange != [2]int{}:
		first, last = s.PortRange[0], s.PortRange[1]
	}
	var lc net.ListenConfig
	for p := first; p <= last; p++ {
		l, err := lc.Listen(ctx, "tcp", ":"+strconv.Itoa(p))
		if err == nil {
			return l, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if p == last {
			return nil, fault.New(fault.Failed, "choose others with PORT or PORT_RANGE", "no port from %d to %d is free for the segments to read from: %w", first, last, err)
		}
	}
	return nil, fault.New(fault.Usage, "PORT_RANGE: [8000, 9000]", "PORT_RANGE %d to %d is empty", first, last)
}

// dialTime bounds looking for the way to a segment.
const dialTime = 2 * time.Second

// sourceAddress is this machine's address on the way to another. Nothing is
// sent: connecting a datagram socket only asks the routing table.
func sourceAddress(ctx context.Context, to string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "udp", net.JoinHostPort(to, "9"))
	if err != nil {
		return "", fmt.Errorf("find the way to segment host %s: %w", to, err)
	}
	defer func() { _ = c.Close() }()
	host, _, err := net.SplitHostPort(c.LocalAddr().String())
	return host, err
}
