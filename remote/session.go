package remote

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	killGrace  = 6 * time.Second // the wrapper sends KILL 3 s after TERM
	endGrace   = 2 * time.Second // for the exit status after the end of the output
	startGrace = time.Minute     // for login shell and sudo before the command starts
)

var (
	errLost     = errors.New("connection lost while a command was running")
	errNoStart  = errors.New("no start")
	errNoUser   = errors.New("no such user")
	errNoAnswer = errors.New("the login shell gave no answer within " + startGrace.String())
)

// session is one command on its channel.
type session struct {
	ch     ssh.Channel
	stdin  io.Reader
	beat   time.Duration                             // how often the far side hears that we live
	secret func(ctx context.Context) (string, error) // sudo's password; an error ends the attempt

	// writing is held while something is written to the channel, and for its
	// half-close. A command that does not read its input makes that long.
	writing sync.Mutex

	out, err        markers
	begun, outEnd   chan struct{} // start marker and end of standard output
	errEnd, killed  chan struct{} // end of standard error, kill marker
	prompts, noUser chan struct{}
	reqEnd          chan struct{}
	status          atomic.Int32 // of exit-status, 128+n of exit-signal, -1 when there was neither
}

func newSession(ch ssh.Channel, nonce string, stdout, stderr io.Writer) *session {
	s := &session{ch: ch}
	s.status.Store(-1)
	for _, c := range []*chan struct{}{&s.begun, &s.outEnd, &s.errEnd, &s.killed, &s.noUser, &s.reqEnd} {
		*c = make(chan struct{})
	}
	s.prompts = make(chan struct{}, 4)
	s.out = markers{nonce: []byte(nonce), out: stdout, onMark: s.onOut}
	s.err = markers{nonce: []byte(nonce), out: stderr, onMark: s.onErr}
	return s
}

func (s *session) onOut(letter byte) {
	switch letter {
	case 'S':
		closeOnce(s.begun)
	case 'U':
		closeOnce(s.noUser)
	}
}

func (s *session) onErr(letter byte) {
	switch letter {
	case 'P':
		select {
		case s.prompts <- struct{}{}:
		default:
		}
	case 'E':
		closeOnce(s.errEnd)
	case 'K':
		closeOnce(s.killed)
	}
}

// closeOnce closes c unless that was done; only one goroutine may do it.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// run starts line and returns the command's exit status. When ctx ends the
// command is killed and ctx's error returned.
func (s *session) run(ctx context.Context, reqs <-chan *ssh.Request, line string) (int, error) {
	// The readers come first: sshd may send before it answers the request.
	go s.readOut()
	go s.readErr()
	go s.readRequests(reqs)
	defer func() { _ = s.ch.Close() }()
	ok, err := s.ch.SendRequest("exec", true, ssh.Marshal(struct{ Line string }{line}))
	if err != nil {
		return 0, errLost
	}
	if !ok {
		return 0, errors.New("the server refuses to run commands")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := s.awaitStart(ctx); err != nil {
		return 0, err
	}
	stop := make(chan struct{})
	defer close(stop)
	go s.feed(stop, cancel)
	for _, end := range []chan struct{}{s.outEnd, s.errEnd} {
		select {
		case <-end:
		case <-ctx.Done():
			return 0, s.kill(ctx)
		}
	}
	return s.result()
}

// awaitStart waits for the start marker and answers sudo's prompts.
func (s *session) awaitStart(ctx context.Context) error {
	patience := time.NewTimer(startGrace)
	defer patience.Stop()
	for {
		select {
		case <-s.begun:
			return nil
		case <-s.prompts:
			patience.Stop()
			secret, err := s.secret(ctx)
			if err != nil {
				return err
			}
			s.writing.Lock()
			_, err = s.ch.Write([]byte(secret + "\n"))
			s.writing.Unlock()
			if err != nil {
				return errLost
			}
			patience.Reset(startGrace)
		case <-s.outEnd:
			select {
			case <-s.begun: // both were ready
				return nil
			default:
			}
			s.awaitStatus()
			if s.status.Load() < 0 {
				return errLost
			}
			return errNoStart
		case <-patience.C:
			return errNoAnswer
		case <-ctx.Done():
			return s.kill(ctx)
		}
	}
}

// kill ends the command: the end of its input makes the wrapper kill it. It
// waits until the wrapper says so. When the command has left so much input
// unread that the end would not get through, the channel is closed, which the
// wrapper notices within a second but cannot confirm.
func (s *session) kill(ctx context.Context) error {
	if !s.writing.TryLock() {
		_ = s.ch.Close()
		return context.Cause(ctx)
	}
	_ = s.ch.CloseWrite()
	s.writing.Unlock()
	patience := time.NewTimer(killGrace)
	defer patience.Stop()
	select {
	case <-s.killed:
	case <-s.reqEnd:
	case <-patience.C:
	}
	return context.Cause(ctx)
}

// result is called after the end of both streams.
func (s *session) result() (int, error) {
	select {
	case <-s.noUser:
		return 0, errNoUser
	default:
	}
	if s.out.ended {
		return s.out.code, nil
	}
	s.awaitStatus()
	if s.status.Load() < 0 {
		return 0, errLost
	}
	return int(s.status.Load()), nil // the wrapper itself was killed
}

// awaitStatus gives the exit status and the last words a moment to come.
func (s *session) awaitStatus() {
	patience := time.NewTimer(endGrace)
	defer patience.Stop()
	for _, end := range []chan struct{}{s.reqEnd, s.errEnd} {
		select {
		case <-end:
		case <-patience.C:
			return
		}
	}
}

func (s *session) readOut() {
	defer close(s.outEnd)
	buf := make([]byte, 32<<10)
	for !s.out.ended {
		n, err := s.ch.Read(buf)
		_, _ = s.out.Write(buf[:n])
		if err != nil {
			return
		}
	}
}

// readErr reads on after the end marker: the kill marker may follow.
func (s *session) readErr() {
	defer closeOnce(s.killed)
	defer closeOnce(s.errEnd)
	buf := make([]byte, 16<<10)
	for {
		n, err := s.ch.Stderr().Read(buf)
		_, _ = s.err.Write(buf[:n])
		if err != nil {
			return
		}
	}
}

func (s *session) readRequests(reqs <-chan *ssh.Request) {
	defer close(s.reqEnd)
	for r := range reqs {
		switch r.Type {
		case "exit-status":
			var m struct{ Status uint32 }
			if ssh.Unmarshal(r.Payload, &m) == nil {
				s.status.Store(int32(m.Status))
			}
		case "exit-signal":
			var m struct {
				Signal     string
				Core       bool
				Text, Lang string
			}
			if ssh.Unmarshal(r.Payload, &m) == nil {
				s.status.Store(128 + signalNumber(m.Signal))
			}
		}
		if r.WantReply {
			_ = r.Reply(false, nil)
		}
	}
}

// signalNumber knows the signals of RFC 4254 by their Linux numbers.
func signalNumber(name string) int32 {
	numbers := map[string]int32{
		"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8,
		"KILL": 9, "USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15,
	}
	return numbers[name]
}
