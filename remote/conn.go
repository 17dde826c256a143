package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// maxSessions stays below sshd's default of 10 per connection.
const maxSessions = 8

// link is one machine we log in to, a host or a jump host, with its
// connection while there is one.
type link struct {
	pool *Pool
	e    *endpoint
	via  *link // nil is directly

	token chan struct{} // holds one token; a channel, so that waiting ends with the context
	mu    sync.Mutex
	conn  *conn
}

// conn is one live connection.
type conn struct {
	client   *ssh.Client
	dead     chan struct{} // closed when it is lost
	sessions *limiter

	sftpMu sync.Mutex
	sftp   *sftp.Client
}

// get returns the live connection, dialling when there is none.
func (l *link) get(ctx context.Context) (*conn, error) {
	if c := l.live(); c != nil {
		return c, nil
	}
	select {
	case l.token <- struct{}{}:
		defer func() { <-l.token }()
	case <-ctx.Done():
		return nil, l.pool.unreachable(l.e, context.Cause(ctx))
	}
	if c := l.live(); c != nil {
		return c, nil // somebody else dialled meanwhile
	}
	if l.pool.closed() {
		return nil, l.pool.unreachable(l.e, net.ErrClosed)
	}
	client, err := l.pool.connect(ctx, l.e, l.dial)
	if err != nil {
		return nil, err
	}
	c := &conn{client: client, dead: make(chan struct{}), sessions: newLimiter(maxSessions)}
	go func() {
		_ = client.Wait()
		close(c.dead)
	}()
	go c.keepAlive(l.pool.o.KeepAlive)
	l.mu.Lock()
	l.conn = c
	l.mu.Unlock()
	if l.pool.closed() { // Close may have missed it
		_ = client.Close()
	}
	return c, nil
}

// dial opens the transport: TCP, or a channel of the jump host's connection.
func (l *link) dial(ctx context.Context, addr string) (net.Conn, error) {
	if l.via == nil {
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}
	c, err := l.via.get(ctx)
	if err != nil {
		return nil, fmt.Errorf("jump host: %w", err)
	}
	conn, err := c.client.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("from jump host %s: %w", l.via.e.name, err)
	}
	return conn, nil
}

func (l *link) live() *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return nil
	}
	select {
	case <-l.conn.dead:
		l.conn = nil
	default:
	}
	return l.conn
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.client.Close()
	}
}

// keepAlive closes the connection when the server leaves keepAliveMisses
// requests in a row unanswered.
func (c *conn) keepAlive(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	answers := make(chan struct{}, keepAliveMisses+1)
	for waiting := 0; ; {
		select {
		case <-c.dead:
			return
		case <-answers:
			waiting = 0
		case <-ticker.C:
			if waiting >= keepAliveMisses {
				_ = c.client.Close()
				return
			}
			waiting++
			go func() {
				_, _, _ = c.client.SendRequest("keepalive@openssh.com", true, nil) // a refusal is an answer
				select {
				case answers <- struct{}{}:
				case <-c.dead:
				}
			}()
		}
	}
}

// open opens a session channel once one of the connection's places is free;
// done gives the place back.
func (c *conn) open(ctx context.Context) (ch ssh.Channel, reqs <-chan *ssh.Request, done func(), err error) {
	for {
		if err := c.sessions.acquire(ctx); err != nil {
			return nil, nil, nil, err
		}
		ch, reqs, err = c.client.OpenChannel("session", nil)
		if err == nil {
			return ch, reqs, c.sessions.release, nil
		}
		// A server with a smaller MaxSessions refuses; wait for one of ours
		// to end, if there is any.
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) || !c.sessions.shrink() {
			c.sessions.release()
			return nil, nil, nil, err
		}
	}
}

// limiter is a semaphore whose size can shrink.
type limiter struct {
	mu          sync.Mutex
	used, limit int
	freed       chan struct{} // closed and replaced at each release
}

func newLimiter(n int) *limiter { return &limiter{limit: n, freed: make(chan struct{})} }

func (l *limiter) acquire(ctx context.Context) error {
	for {
		l.mu.Lock()
		if l.used < l.limit {
			l.used++
			l.mu.Unlock()
			return nil
		}
		freed := l.freed
		l.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (l *limiter) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used--
	close(l.freed)
	l.freed = make(chan struct{})
}

// shrink gives the caller's place back and sets the limit to the places that
// are in use; false, and nothing done, when the caller's is the only one.
func (l *limiter) shrink() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.used <= 1 {
		return false
	}
	l.used--
	l.limit = l.used
	return true
}

// files is the connection's SFTP session, one of its sessions while it lives.
func (c *conn) files(ctx context.Context) (*sftp.Client, error) {
	c.sftpMu.Lock()
	defer c.sftpMu.Unlock()
	if c.sftp != nil {
		return c.sftp, nil
	}
	ch, reqs, done, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	go ssh.DiscardRequests(reqs)
	ok, err := ch.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{"sftp"}))
	if err == nil && !ok {
		err = errNoSFTP
	}
	var client *sftp.Client
	if err == nil {
		client, err = sftp.NewClientPipe(ch, ch, sftp.UseConcurrentWrites(true))
	}
	if err != nil {
		_ = ch.Close()
		done()
		return nil, err
	}
	c.sftp = client
	go func() {
		_ = client.Wait()
		_ = ch.Close()
		done()
		c.sftpMu.Lock()
		c.sftp = nil
		c.sftpMu.Unlock()
	}()
	return client, nil
}

var errNoSFTP = errors.New("the server has no sftp subsystem")
