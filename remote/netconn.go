package remote

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// deadlineConn gives a forwarded connection deadlines, which SSH channels do
// not have: a deadline that passes closes the connection. pgx needs no more,
// it gives a connection up after a deadline anyway.
type deadlineConn struct {
	net.Conn
	read, write deadline
}

func newDeadlineConn(c net.Conn) net.Conn { return &deadlineConn{Conn: c} }

func (c *deadlineConn) Read(p []byte) (int, error) {
	if c.read.passed() {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := c.Conn.Read(p)
	return n, c.read.explain(err)
}

func (c *deadlineConn) Write(p []byte) (int, error) {
	if c.write.passed() {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := c.Conn.Write(p)
	return n, c.write.explain(err)
}

func (c *deadlineConn) Close() error {
	c.read.set(time.Time{}, nil)
	c.write.set(time.Time{}, nil)
	err := c.Conn.Close()
	if errors.Is(err, io.EOF) { // closed from the other side already
		return nil
	}
	return err
}

func (c *deadlineConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *deadlineConn) SetReadDeadline(t time.Time) error {
	c.read.set(t, c.Conn.Close)
	return nil
}

func (c *deadlineConn) SetWriteDeadline(t time.Time) error {
	c.write.set(t, c.Conn.Close)
	return nil
}

// deadline is one direction's limit.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	turn  int // tells an old timer's firing from the current one's
	rang  bool
}

func (d *deadline) set(t time.Time, ring func() error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.turn++
	if t.IsZero() {
		return
	}
	turn := d.turn
	d.timer = time.AfterFunc(time.Until(t), func() {
		d.mu.Lock()
		current := d.turn == turn
		d.rang = d.rang || current
		d.mu.Unlock()
		if current {
			_ = ring()
		}
	})
}

func (d *deadline) passed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rang
}

func (d *deadline) explain(err error) error {
	if err != nil && d.passed() {
		return os.ErrDeadlineExceeded
	}
	return err
}
