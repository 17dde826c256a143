// Package exec drives a cloud through a program of the user: whatever cw has
// no driver for, a script can do.
//
// The contract is in Contract, an example in example.sh.
package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"cw/cloud"
	"cw/fault"
)

// Contract is what the program has to do, for help texts.
const Contract = `The program is called as PROGRAM VERB, with one JSON object on standard input, and
answers with one on standard output; standard error is shown when it fails.

  verbs           {}                        {"verbs": ["create", ...]}: those it has; optional
  create          {"volumes": [...], "name", "kind", "parent"}
                                            {"snapshots": [SNAPSHOT, ...]}, one per volume
  status          {"id"}                    SNAPSHOT
  changed         {"id", "earlier"}         {"bytes": N}
  delete          {"id"}                    nothing
  restore         {"id", "name"}            VOLUME
  volume          {"id"}                    VOLUME
  attach          {"volume", "machine"}     VOLUME
  detach          {"volume"}                nothing
  delete-volume   {"id"}                    nothing
  launch          {"name"}                  MACHINE
  machine         {"id"}                    MACHINE
  stop            {"id"}                    nothing: hard, as a failure would
  delete-machine  {"id"}                    nothing
  move-address    {"address", "machine"}    nothing

  SNAPSHOT  {"id", "volume", "parent", "kind": "full|incremental", "state":
            "pending|available|failed|gone", "captured": bool, "progress": 0..1,
            "size": bytes, "total": bytes, "created": RFC 3339, "problem"}
  VOLUME    {"id", "state": "pending|available|in-use|failed|gone", "machine",
            "device", "size": bytes, "problem"}
  MACHINE   {"id", "state": "pending|in-use|available|failed|gone", "address", "problem"}

in-use is attached for a volume, running for a machine. What is left out is not known.
Exit codes: 0 done, 3 it has no such verb, 4 there is no such thing (any more), 75 ask
again later; everything else is a failure. create, restore and launch return as soon as
they are accepted: status, volume and machine are asked again until the state is reached.`

// Exit codes of the program that mean more than a failure.
const (
	exitNoVerb = 3
	exitGone   = 4
	exitLater  = 75
)

// maxOutput is the longest answer that is read.
const maxOutput = 1 << 20

// Options are the program and how long a call of it may take.
type Options struct {
	Program string
	Timeout time.Duration // of one call; 0 is a minute
}

// Driver implements cloud.Snapshotter, cloud.Machines and cloud.Addresses.
type Driver struct{ o Options }

// New makes a driver; the program has to be there and executable.
func New(o Options) (*Driver, error) {
	if o.Program == "" {
		return nil, fault.New(fault.Usage, "--driver-option program=./cloud.sh", "exec: no program is given")
	}
	path, err := exec.LookPath(o.Program)
	if err != nil {
		return nil, fault.New(fault.Usage, "chmod +x "+o.Program, "exec: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("exec: %w", err)
	}
	o.Program = path
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	return &Driver{o: o}, nil
}

// callError is a call of the program that failed.
type callError struct {
	program, verb string
	code          int // exit status; -1 when it was not that
	err           error
	stderr        string
}

func (e *callError) Error() string {
	text := fmt.Sprintf("%s %s: %v", e.program, e.verb, e.err)
	if e.stderr != "" {
		text += ": " + e.stderr
	}
	return text
}

func (e *callError) Unwrap() error { return e.err }

// FaultHint implements fault.Hinter.
func (e *callError) FaultHint() string {
	if e.code == exitNoVerb {
		return "add the verb " + e.verb + " to the program (cw perf replace --help tells what it gets and what it answers)"
	}
	return "try it by hand: echo '{…}' | " + e.program + " " + e.verb
}

// isExit tells how the program ended.
func isExit(err error, code int) bool {
	var e *callError
	return errors.As(err, &e) && e.code == code
}

// call runs the program once.
func (d *Driver) call(ctx context.Context, verb string, in, out any) error {
	input, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s %s: %w", d.o.Program, verb, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d.o.Timeout, fmt.Errorf("it did not end within %s", d.o.Timeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, d.o.Program, verb)
	stdout, stderr := &bounded{max: maxOutput}, &bounded{max: 4096, last: true}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), stdout, stderr
	// A script's own children end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	fail := func(code int, format string, args ...any) error {
		return &callError{d.o.Program, verb, code, fmt.Errorf(format, args...), stderr.text()}
	}
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fail(-1, "%w", context.Cause(ctx))
	case errors.As(err, &exit):
		return fail(exit.ExitCode(), "%w", err)
	case err != nil:
		return fail(-1, "%w", err)
	case stdout.over:
		return fail(-1, "its answer is longer than %d bytes", maxOutput)
	case out == nil:
		return nil
	}
	if err := decode(stdout.buf.Bytes(), out); err != nil {
		return fail(-1, "its answer %s: %w", quoted(stdout.buf.Bytes()), err)
	}
	return nil
}

// ask is a call that changes nothing: not now is answered by asking again.
func (d *Driver) ask(ctx context.Context, verb string, in, out any) error {
	for try := 0; ; try++ {
		err := d.call(ctx, verb, in, out)
		if !isExit(err, exitLater) || try >= 5 {
			return err
		}
		if err := cloud.Wait(ctx, min(100*time.Millisecond<<try, time.Second)); err != nil {
			return err
		}
	}
}

// decode reads exactly one JSON object and knows all its keys.
func decode(data []byte, out any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(out); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("is empty, a JSON object is expected")
		}
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("has more after its JSON object")
	}
	return nil
}

func quoted(data []byte) string {
	if len(data) > 80 {
		return fmt.Sprintf("%q…", data[:80])
	}
	return fmt.Sprintf("%q", data)
}

// bounded keeps the beginning or the end of what is written to it.
type bounded struct {
	buf  bytes.Buffer
	max  int
	last bool
	over bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	n := len(p)
	if b.last {
		b.buf.Write(p)
		if over := b.buf.Len() - b.max; over > 0 {
			b.buf.Next(over)
		}
		return n, nil
	}
	if room := b.max - b.buf.Len(); n > room {
		b.over, p = true, p[:room]
	}
	b.buf.Write(p)
	return n, nil
}

func (b *bounded) text() string { return strings.TrimSpace(b.buf.String()) }
