package gpload

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"cw/loadspec/fdist"
)

// longestRow is how long rows may be without MAX_LINE_LENGTH. gpfdist's 32
// KiB are too few for many, and they cannot know before a load fails.
const longestRow = 1 << 20

// Serve is the StartServer of this program: the server is part of the
// process, and gone when it is.
func Serve(ctx context.Context, s Source) (*Server, error) {
	o, err := options(s)
	if err != nil {
		return nil, err
	}
	l, err := listen(ctx, s)
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // a TCP listener
	proto := "HTTP"
	if s.TLS != "" {
		c, err := fdist.TLS(s.TLS, true)
		if err != nil {
			_ = l.Close()
			return nil, err
		}
		for _, w := range fdist.TLSWarnings(c, time.Now()) {
			s.Log(w, true)
		}
		l, proto = tls.NewListener(l, c), "HTTPS"
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // until Stop: a load that ends lets its statement end first
	var running sync.WaitGroup
	running.Go(func() {
		if err := fdist.New(o).Serve(ctx, l); err != nil {
			s.Log(err.Error(), true)
		}
	})
	s.Log(fmt.Sprintf("Serving %s on port %d, directory .", proto, port), false)
	return &Server{Port: port, Stop: func() {
		cancel()
		running.Wait()
	}}, nil
}

func options(s Source) (fdist.Options, error) {
	inputs := &fdist.FileInputs{Dir: ".", BlockSize: longestRow}
	if s.MaxLine > 0 {
		inputs.BlockSize = s.MaxLine
	}
	if s.Transforms != "" {
		t, err := fdist.ReadTransforms(s.Transforms, ".")
		if err != nil {
			return fdist.Options{}, err
		}
		inputs.Transform = t.Inputs(logWriter(s))
	}
	o := fdist.Options{Inputs: inputs, ForcePath: strings.Join(s.Files, " "), HeaderTimeout: s.Timeout}
	if s.Timeout == 0 {
		o.HeaderTimeout = -1
	}
	o.Log = func(level fdist.Level, _ fdist.Where, text string) {
		switch {
		case level == fdist.LevelWarn || level == fdist.LevelError:
			s.Log(text, true)
		case level == fdist.LevelInfo || s.Verbose > 0 && level == fdist.LevelVerbose || s.Verbose > 1:
			s.Log(text, false)
		}
	}
	return o, nil
}

// listen takes the first port that is free, on all addresses of both
// families.
func listen(ctx context.Context, s Source) (net.Listener, error) {
	var config net.ListenConfig
	var last error
	for port := max(s.First, 1); port <= s.Last; port++ {
		l, err := config.Listen(ctx, "tcp", ":"+strconv.Itoa(port))
		if err == nil {
			return l, nil
		}
		last = err
		if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, os.ErrPermission) {
			break
		}
	}
	return nil, fmt.Errorf("listen on port %d to %d: %w", s.First, s.Last, last)
}

// logWriter takes what transformations write.
func logWriter(s Source) io.Writer { return lines(func(text string) { s.Log(text, false) }) }

type lines func(text string)

func (l lines) Write(p []byte) (int, error) {
	for line := range strings.SplitSeq(strings.TrimRight(string(p), "\n"), "\n") {
		l(line)
	}
	return len(p), nil
}
