package net

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	gonet "net"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cw/fault"
	"cw/perfcheck"
)

// iperf3Grace is how long iperf3 may take to end after SIGTERM.
const iperf3Grace = 700 * time.Millisecond

// iperf3Program finds it.
func iperf3Program() (string, error) {
	path, err := exec.LookPath("iperf3")
	if err != nil {
		return "", fault.New(fault.Check, "install iperf3 on both hosts, or leave --engine out", "iperf3 is not installed here")
	}
	return path, nil
}

// child runs a program until it ends or ctx does; then it gets SIGTERM, and
// SIGKILL if that does not help. It is started from a thread that lives as
// long as it does: were this process killed, the kernel would end it.
func child(ctx context.Context, stdout io.Writer, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = stdout, &stderr, childAttributes()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = iperf3Grace
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- cmd.Run()
	}()
	err := <-done
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if text := strings.TrimSpace(stderr.String()); err != nil && text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// serveIperf3 starts iperf3's server for one test on a free port.
func (sess *session) serveIperf3(ctx context.Context, s *Server) error {
	program, err := iperf3Program()
	if err != nil {
		return err
	}
	address := sess.local.(*gonet.TCPAddr).IP.String()
	for try := 1; ; try++ {
		port, err := freePort(ctx, address)
		if err != nil {
			return err
		}
		err = sess.iperf3Once(ctx, program, address, s.options.Device, port)
		if !errors.Is(err, errTaken) || try == portTries {
			return err
		}
	}
}

// errTaken says that somebody else was faster to take the port.
var errTaken = errors.New("the port is taken")

func freePort(ctx context.Context, address string) (int, error) {
	var config gonet.ListenConfig
	l, err := config.Listen(ctx, "tcp", gonet.JoinHostPort(address, "0"))
	if err != nil {
		return 0, fmt.Errorf("find a port for iperf3: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*gonet.TCPAddr).Port, nil
}

func (sess *session) iperf3Once(ctx context.Context, program, address, device string, port int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	args := []string{"-s", "-1", "--forceflush", "-p", strconv.Itoa(port), "-B", address}
	if device != "" {
		args = append(args, "--bind-dev", device)
	}
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := child(ctx, in, program, args...)
		_ = in.Close()
		ended <- err
	}()
	listens := make(chan bool, 1)
	go func() {
		r := bufio.NewScanner(out)
		for r.Scan() {
			if strings.Contains(r.Text(), "Server listening") {
				listens <- true
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	select {
	case <-listens:
	case err := <-ended:
		if err != nil && strings.Contains(err.Error(), "in use") {
			return errTaken
		}
		return fmt.Errorf("start iperf3: %w", errors.Join(err, errors.New("it has ended at once")))
	case <-ctx.Done():
		<-ended //nolint:errcheck // it was told to end
		return context.Cause(ctx)
	}
	if err := sess.ctl.sendOr(message{Type: msgReady, Session: sess.id, Port: port}); err != nil {
		cancel(err)
		<-ended //nolint:errcheck // it was told to end
		return err
	}
	_, err := sess.ctl.wait(ctx, msgStop)
	cancel(errors.New("the test is over"))
	<-ended //nolint:errcheck // it was told to end
	return err
}

// runIperf3 lets iperf3 measure against the server that the other side has
// started.
func (c *client) runIperf3(ctx context.Context) (perfcheck.Measurement, error) {
	program, err := iperf3Program()
	if err != nil {
		return perfcheck.Measurement{}, err
	}
	host, _, err := gonet.SplitHostPort(c.job.Target)
	if err != nil {
		return perfcheck.Measurement{}, err
	}
	began := time.Now()
	var out bytes.Buffer
	ended := child(ctx, &out, program, c.job.iperf3Args(host, c.iperf3Port)...)
	if ctx.Err() != nil {
		return perfcheck.Measurement{}, context.Cause(ctx)
	}
	m, err := parseIperf3(out.Bytes(), &c.job)
	if err != nil {
		return m, fmt.Errorf("iperf3: %w", errors.Join(err, ended))
	}
	m.Began = began.Add(c.job.Warmup)
	if c.on != nil {
		for i, v := range m.Series[0].Values {
			c.on(perfcheck.Second{At: float64(i + 1), Value: v})
		}
	}
	return m, nil
}

// iperf3Args are the client's arguments. It knows only whole seconds.
func (j *Job) iperf3Args(host string, port int) []string {
	seconds := func(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
	args := []string{
		"-c", host, "-p", strconv.Itoa(port), "-J", "-t", seconds(j.Duration), "-P", strconv.Itoa(j.Streams),
		"--connect-timeout", strconv.FormatInt(dialTime.Milliseconds(), 10),
	}
	if j.Warmup > 0 {
		args = append(args, "-O", seconds(j.Warmup))
	}
	if j.Reverse {
		args = append(args, "-R")
	}
	if j.Bidir {
		args = append(args, "--bidir")
	}
	if j.Source != "" {
		args = append(args, "-B", j.Source)
	}
	if j.Device != "" {
		args = append(args, "--bind-dev", j.Device)
	}
	if j.Kind == UDP {
		// Per stream, in bits; 0 is unlimited.
		args = append(args, "-u", "-l", strconv.Itoa(j.Packet), "-b", strconv.FormatInt(int64(j.Rate*8/float64(j.Streams)), 10))
	}
	return args
}
