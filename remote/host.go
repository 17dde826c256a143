package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"

	"cw/fault"
)

// Pool holds at most one connection per host, and one per jump host that all
// hosts behind it share.
type Pool struct {
	o          Options
	log        *slog.Logger
	handshakes chan struct{}
	hostKeys   *hostKeys
	secrets    *secrets

	mu      sync.Mutex
	shut    bool
	hosts   map[string]*Host
	links   map[string]*link
	resolve func() (*resolver, error)
}

// NewPool makes a pool; it connects nowhere.
func NewPool(o Options) *Pool {
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = defaultConnectTimeout
	}
	if o.KeepAlive <= 0 {
		o.KeepAlive = defaultKeepAlive
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Pool{
		o: o, log: log,
		handshakes: make(chan struct{}, maxHandshakes),
		hostKeys:   &hostKeys{record: o.KnownHosts, others: o.UserKnownHosts},
		secrets:    &secrets{prompt: o.Prompt, known: map[string]string{}, keys: map[string]ssh.Signer{}},
		hosts:      map[string]*Host{},
		links:      map[string]*link{},
		resolve:    sync.OnceValues(func() (*resolver, error) { return newResolver(o.ConfigFile) }),
	}
}

// Close closes all connections; the commands running on them end.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = true
	for _, l := range p.links {
		l.close()
	}
}

func (p *Pool) closed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shut
}

// Host returns the host of a target; it connects at first use. The same
// target name gives the same host, unless the target differs.
func (p *Pool) Host(t Target) *Host {
	if t.Name == "" {
		t.Name = t.Address
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.hosts[t.Name]; h != nil && h.t == t {
		return h
	}
	h := &Host{pool: p, t: t}
	p.hosts[t.Name] = h
	return h
}

// link returns the link of an endpoint, made at first use.
func (p *Pool) link(e *endpoint) *link {
	var via *link
	if n := len(e.via); n > 0 {
		via = p.link(e.via[n-1])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.links[e.key()]
	if l == nil {
		l = &link{pool: p, e: e, via: via, token: make(chan struct{}, 1)}
		p.links[e.key()] = l
	}
	return l
}

// Host is one machine.
type Host struct {
	pool *Pool
	t    Target

	mu    sync.Mutex
	l     *link
	facts *Facts
}

// Name is the host's name in the topology and in messages.
func (h *Host) Name() string { return h.t.Name }

// Target is where the host is.
func (h *Host) Target() Target { return h.t }

// User is the name of the SSH user, after ssh_config and defaults.
func (h *Host) User() (string, error) {
	l, err := h.link()
	if err != nil {
		return "", err
	}
	return l.e.user, nil
}

// link resolves the target, once.
func (h *Host) link() (*link, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.l != nil {
		return h.l, nil
	}
	r, err := h.pool.resolve()
	if err != nil {
		return nil, err
	}
	e, err := r.target(h.t)
	if err != nil {
		return nil, err
	}
	h.l = h.pool.link(e)
	return h.l, nil
}

// Connect dials and authenticates unless that is done already.
func (h *Host) Connect(ctx context.Context) error {
	_, err := h.conn(ctx)
	return err
}

func (h *Host) conn(ctx context.Context) (*conn, error) {
	l, err := h.link()
	if err != nil {
		return nil, err
	}
	return l.get(ctx)
}

// lost is the error for a connection that broke.
func (h *Host) lost(l *link, err error, started bool) error {
	return &UnreachableError{Host: h.t.Name, Addr: l.e.addr(), Err: err, Login: l.e.login(), Started: started}
}

// openSession opens a session, dialling anew, once, when the connection
// turns out to be lost: nothing has been started yet then.
func (h *Host) openSession(ctx context.Context, l *link) (ch ssh.Channel, reqs <-chan *ssh.Request, done func(), err error) {
	for try := 0; ; try++ {
		c, err := l.get(ctx)
		if err != nil {
			return nil, nil, nil, err
		}
		ch, reqs, done, err := c.open(ctx)
		if err == nil {
			return ch, reqs, done, nil
		}
		if ctx.Err() != nil {
			return nil, nil, nil, fmt.Errorf("%s: wait for a free session: %w", h.t.Name, context.Cause(ctx))
		}
		var refused *ssh.OpenChannelError
		if errors.As(err, &refused) {
			return nil, nil, nil, fault.New(fault.Failed, "look at MaxSessions and ForceCommand in its sshd_config", "%s: open a session: %w", h.t.Name, err)
		}
		if try > 0 {
			return nil, nil, nil, h.lost(l, err, false)
		}
		_ = c.client.Close()
		<-c.dead
	}
}

// DialContext opens a connection from the host: network tcp or unix. Its
// deadlines, when they pass, close it.
func (h *Host) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	l, err := h.link()
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		c, err := l.get(ctx)
		if err != nil {
			return nil, err
		}
		conn, err := c.client.DialContext(ctx, network, addr)
		if err == nil {
			return newDeadlineConn(conn), nil
		}
		var refused *ssh.OpenChannelError
		if errors.As(err, &refused) || ctx.Err() != nil || try > 0 {
			return nil, fault.Wrap(fault.Unreachable, "", fmt.Errorf("%s: connect from there to %s: %w", h.t.Name, addr, err))
		}
		select {
		case <-c.dead:
		default:
			_ = c.client.Close()
			<-c.dead
		}
	}
}
