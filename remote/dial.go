package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"cw/fault"
)

const (
	defaultConnectTimeout = 10 * time.Second
	defaultKeepAlive      = 15 * time.Second
	keepAliveMisses       = 3
	maxHandshakes         = 16               // at once per pool; sshd's MaxStartups begins to drop at 10 per host
	busyPatience          = 30 * time.Second // how long a server may be too busy to greet us
)

// dialFunc opens the transport to an endpoint.
type dialFunc func(ctx context.Context, addr string) (net.Conn, error)

// connect dials and logs in, again and again while the server hangs up before
// it greets (MaxStartups).
func (p *Pool) connect(ctx context.Context, e *endpoint, dial dialFunc) (*ssh.Client, error) {
	patience := time.Now().Add(busyPatience)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 3*time.Second) {
		client, err := p.login(ctx, e, dial)
		if !errors.Is(err, errBusy) || time.Now().Add(wait).After(patience) {
			return client, err
		}
		p.log.Debug("server too busy, trying again", "host", e.name, "wait", wait)
		select {
		case <-time.After(wait + rand.N(wait)):
		case <-ctx.Done():
			return nil, p.unreachable(e, context.Cause(ctx))
		}
	}
}

// errBusy is a server that hung up before its banner.
var errBusy = errors.New("the server hangs up before its greeting, as sshd does above MaxStartups")

// errGivenUp says in words what net.ErrClosed means here.
var errGivenUp = errors.New("the connection was given up: nothing came over it any more")

func (p *Pool) unreachable(e *endpoint, err error) error {
	if errors.Is(err, net.ErrClosed) {
		err = errGivenUp
	}
	return &UnreachableError{Host: e.name, Addr: e.addr(), Err: err, Login: e.login()}
}

// login makes one attempt.
func (p *Pool) login(ctx context.Context, e *endpoint, dial dialFunc) (*ssh.Client, error) {
	select {
	case p.handshakes <- struct{}{}:
		defer func() { <-p.handshakes }()
	case <-ctx.Done():
		return nil, p.unreachable(e, context.Cause(ctx))
	}
	dialCtx, cancel := context.WithTimeoutCause(ctx, p.o.ConnectTimeout, fmt.Errorf("no answer within %s", p.o.ConnectTimeout))
	defer cancel()
	raw, err := dial(dialCtx, e.addr())
	var classified fault.Kinder
	if errors.As(err, &classified) { // a jump host's error
		return nil, fmt.Errorf("%s: %w", e.name, err)
	}
	if err != nil {
		if dialCtx.Err() != nil {
			err = context.Cause(dialCtx)
		}
		return nil, p.unreachable(e, plainNetError(err))
	}
	policy, err := p.hostKeys.policy(e)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	conn := &greeting{Conn: raw}
	clock := newClock(p.o.ConnectTimeout, func() { _ = raw.Close() })
	defer clock.stop()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	a := &attempt{ctx: ctx, e: e, secrets: p.secrets, pause: clock.pause}
	defer a.close()
	config := &ssh.ClientConfig{
		User:              e.user,
		Auth:              a.methods(),
		HostKeyCallback:   policy.check,
		HostKeyAlgorithms: policy.algos,
	}
	c, chans, reqs, err := ssh.NewClientConn(conn, e.addr(), config)
	if err == nil {
		if policy.accepted != "" {
			p.log.Info("new host key accepted", "host", e.name, "addr", e.addr(), "fingerprint", policy.accepted, "file", p.o.KnownHosts)
		}
		return ssh.NewClient(c, chans, reqs), nil
	}
	_ = raw.Close()
	return nil, p.explain(ctx, e, a, policy, conn, clock, err)
}

// explain turns a failed handshake into the error that names its cause.
func (p *Pool) explain(ctx context.Context, e *endpoint, a *attempt, policy *policy, conn *greeting, clock *clock, err error) error {
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case policy.refused != nil:
		return policy.refused
	case ctx.Err() != nil:
		return p.unreachable(e, context.Cause(ctx))
	case a.err != nil:
		if fault.KindOf(a.err) == fault.Failed {
			return &AuthError{Host: e.name, Addr: e.addr(), User: e.user, Tried: a.tried, Err: a.err, Login: e.login()}
		}
		return fmt.Errorf("%s: %w", e.name, a.err)
	case clock.expired():
		return p.unreachable(e, fmt.Errorf("no answer within %s", p.o.ConnectTimeout))
	case errors.As(err, &negotiation) && negotiation.What == "host key":
		if changed := policy.noCommonType(); changed != nil {
			return changed
		}
	case !conn.greeted() && isHangup(err):
		return p.unreachable(e, fmt.Errorf("%w%s", errBusy, conn.said()))
	case conn.greeted() && bytes.Contains([]byte(err.Error()), []byte("unable to authenticate")),
		len(a.tried) > 0 && isHangup(err): // MaxAuthTries
		return &AuthError{Host: e.name, Addr: e.addr(), User: e.user, Tried: a.tried, Err: err, Login: e.login()}
	}
	return p.unreachable(e, err)
}

// isHangup is true for a connection that the other side ended.
func isHangup(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// plainNetError drops "dial tcp 10.0.0.1:22:" in front of the cause: the
// message names the address already.
func plainNetError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// greeting remembers whether the server began with its SSH banner.
type greeting struct {
	net.Conn
	mu    sync.Mutex
	first []byte
}

func (g *greeting) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.first) < 256 {
		g.first = append(g.first, p[:min(n, 256-len(g.first))]...)
	}
	return n, err
}

func (g *greeting) greeted() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return bytes.HasPrefix(g.first, []byte("SSH-")) || bytes.Contains(g.first, []byte("\nSSH-"))
}

// said is what came instead of a banner, as in "Exceeded MaxStartups".
func (g *greeting) said() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	text := bytes.TrimSpace(g.first)
	if len(text) == 0 {
		return ""
	}
	return fmt.Sprintf(" (it says %q)", text)
}

// clock is a time limit that can be stopped for the time a person types.
type clock struct {
	mu    sync.Mutex
	timer *time.Timer
	limit time.Duration
	rang  bool
}

func newClock(limit time.Duration, ring func()) *clock {
	c := &clock{limit: limit}
	c.timer = time.AfterFunc(limit, func() {
		c.mu.Lock()
		c.rang = true
		c.mu.Unlock()
		ring()
	})
	return c
}

func (c *clock) stop() { c.timer.Stop() }

func (c *clock) expired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rang
}

// pause runs fn with the clock stopped; it starts anew afterwards.
func (c *clock) pause(fn func()) {
	c.timer.Stop()
	fn()
	c.timer.Reset(c.limit)
}
