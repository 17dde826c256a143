package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"cw/fault"
)

// Run runs one command and waits for it. A non-zero exit status is an
// *ExitError; a connection that broke is an *UnreachableError. When ctx ends
// or the connection is lost, the command's process group is killed there;
// what has made itself a session of its own, as daemons do, lives on.
func (h *Host) Run(ctx context.Context, c Cmd) (Result, error) {
	l, err := h.link()
	if err != nil {
		return Result{}, err
	}
	how, err := h.become(l, c.As)
	if err != nil {
		return Result{}, err
	}
	nonce := newNonce()
	line, err := commandLine(c, nonce, how)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", h.t.Name, err)
	}
	parent := ctx
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, &TimeoutError{Host: h.t.Name, Args: c.Args, After: c.Timeout})
		defer cancel()
	}
	ch, reqs, done, err := h.openSession(ctx, l)
	if err != nil {
		return Result{}, err
	}

	var stdout, stderr bytes.Buffer
	var errTail tail
	s := newSession(ch, nonce, orBuffer(c.Stdout, &stdout), orBuffer(c.Stderr, &stderr))
	s.err.out = io.MultiWriter(s.err.out, &errTail)
	s.stdin, s.beat, s.secret = c.Stdin, h.pool.o.KeepAlive, h.becomeSecret(l, c.As)
	code, err := s.run(ctx, reqs, line)
	go func() { // the place is free when the server, too, has closed the channel
		<-s.reqEnd
		done()
	}()
	if err != nil {
		return Result{}, h.runError(parent, l, c, how, s, err)
	}
	if err := errors.Join(s.out.err, s.err.err); err != nil {
		return Result{}, fmt.Errorf("%s: take the output of %s: %w", h.t.Name, abbreviate(Quote(c.Args), 60), err)
	}
	r := Result{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Code: code}
	if code != 0 && !slices.Contains(c.Tolerate, code) {
		return r, &ExitError{Host: h.t.Name, Args: c.Args, Code: code, Stdout: endOf(r.Stdout), Stderr: errTail.String()}
	}
	return r, nil
}

func orBuffer(w io.Writer, b *bytes.Buffer) io.Writer {
	if w != nil {
		return w
	}
	return b
}

// endOf is the end of the output, for messages.
func endOf(b []byte) string { return string(b[max(0, len(b)-tailSize):]) }

// runError explains why there is no exit status of the command.
func (h *Host) runError(parent context.Context, l *link, c Cmd, how become, s *session, err error) error {
	what := abbreviate(Quote(c.Args), 60)
	var timeout *TimeoutError
	switch {
	case errors.As(err, &timeout):
		return timeout
	case parent.Err() != nil:
		return fmt.Errorf("%s: %s: %w", h.t.Name, what, context.Cause(parent))
	case errors.Is(err, errLost):
		return h.lost(l, fmt.Errorf("%w (%s)", err, what), true)
	case errors.Is(err, errNoUser):
		return &SudoError{Host: h.t.Name, User: l.e.user, As: c.As, Text: "there is no such user"}
	case errors.Is(err, errNoAnswer):
		return h.lost(l, err, false)
	case errors.Is(err, errSudoSecret):
		return &SudoError{Host: h.t.Name, User: l.e.user, As: c.As, Text: err.Error()}
	case !errors.Is(err, errNoStart):
		return fmt.Errorf("%s: %s: %w", h.t.Name, what, err)
	}
	said := strings.TrimSpace(s.err.noise.String())
	if how == becomeSudo || how == becomeSudoAsk {
		if said == "" {
			said = fmt.Sprintf("sudo ended with status %d", s.status.Load())
		}
		return &SudoError{Host: h.t.Name, User: l.e.user, As: c.As, Text: said}
	}
	if said == "" {
		said = strings.TrimSpace(s.out.noise.String())
	}
	return fault.New(fault.Failed, "look at what the login shell does: "+l.e.login(),
		"%s: the login shell of %s ended with status %d before the command could start: %s", h.t.Name, l.e.user, s.status.Load(), lastLines(said, 3))
}

// become decides how to get to an OS user.
func (h *Host) become(l *link, as string) (become, error) {
	switch {
	case as == "" || as == l.e.user:
		return becomeNobody, nil
	case l.e.user == "root":
		return becomeByRoot, nil
	case h.t.Become != "" && h.t.Become != "sudo":
		return 0, fault.New(fault.Usage, "set ssh.become to sudo", "%s: cannot become %s: become is %q", h.t.Name, as, h.t.Become)
	case h.t.BecomePasswordFile != "" || h.pool.o.Prompt != nil:
		return becomeSudoAsk, nil
	}
	return becomeSudo, nil
}

var errSudoSecret = errors.New("sudo wants a password")

// becomeSecret returns the function that answers sudo's prompts. sudo asks
// again when an answer was wrong.
func (h *Host) becomeSecret(l *link, as string) func(context.Context) (string, error) {
	asked, last := 0, ""
	id := "sudo password of " + l.e.user
	return func(ctx context.Context) (string, error) {
		asked++
		if h.t.BecomePasswordFile != "" {
			if asked > 1 {
				return "", fmt.Errorf("%w other than the one in %s", errSudoSecret, h.t.BecomePasswordFile)
			}
			return readSecretFile(h.t.BecomePasswordFile)
		}
		if asked > 1 {
			h.pool.secrets.forget(id, last)
		}
		var err error
		last, err = h.pool.secrets.ask(ctx, id, fmt.Sprintf("Password of %s for sudo on %s (to become %s): ", l.e.user, h.t.Name, as))
		if err != nil {
			return "", fmt.Errorf("%w: %w", errSudoSecret, err)
		}
		return last, nil
	}
}
