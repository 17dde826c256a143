// Command s3server is the object store of cw's demo and tests: versitygw's
// embedded gateway over a directory, one bucket per sub-directory. It is a
// process of its own because the gateway changes its working directory.
//
// It prints "listening on http://HOST:PORT" once requests are answered, and
// ends on SIGINT, SIGTERM or, with -parent, when its standard input closes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

type options struct {
	addr, dir, access, secret string
	parent                    bool
}

func main() {
	var o options
	flag.StringVar(&o.addr, "addr", "127.0.0.1:0", "address to listen on; port 0 picks a free one")
	flag.StringVar(&o.dir, "dir", "", "directory whose sub-directories are the buckets (created)")
	flag.StringVar(&o.access, "access", "cwdemo", "access key id")
	flag.StringVar(&o.secret, "secret", "cwdemosecret", "secret access key")
	flag.BoolVar(&o.parent, "parent", false, "end when standard input closes, so that no server outlives its test")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	stdout := os.Stdout
	os.Stdout = os.Stderr // the gateway prints remarks of its own
	if err := run(ctx, o, os.Stdin, stdout); err != nil {
		fmt.Fprintln(os.Stderr, "s3server:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, stdin io.Reader, stdout io.Writer) error {
	if o.dir == "" {
		return errors.New("-dir is required")
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	addr, err := freeAddr(ctx, o.addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.parent {
		go func() {
			_, _ = io.Copy(io.Discard, stdin)
			cancel()
		}()
	}
	// The posix backend refuses server-side copies while the threshold is zero.
	be, err := posix.New(dir, meta.XattrMeta{}, posix.PosixOpts{CopyObjectThreshold: 5 << 30})
	if err != nil {
		return fmt.Errorf("open %s as object store: %w", dir, err)
	}
	done := make(chan error, 1)
	go func() {
		done <- embedgw.RunVersityGW(ctx, be, &embedgw.Config{
			RootUserAccess: o.access, RootUserSecret: o.secret,
			Ports: []string{addr}, Quiet: true, KeepAlive: true,
			MaxConnections: 1000, MaxRequests: 500, MultipartMaxParts: 10000,
		})
	}()
	if err := waitListening(ctx, addr, done); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "listening on http://%s\n", addr)
	err = <-done
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// freeAddr replaces port 0 with a port that is free now: the gateway cannot
// tell which one the kernel gave it.
func freeAddr(ctx context.Context, addr string) (string, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil || port != "0" {
		return addr, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func waitListening(ctx context.Context, addr string, done <-chan error) error {
	d := net.Dialer{Timeout: time.Second}
	for {
		c, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case err := <-done:
			return fmt.Errorf("the gateway ended before it listened on %s: %w", addr, err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
