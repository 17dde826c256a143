package net

import (
	"context"
	"errors"
	"fmt"
	gonet "net"
	"time"

	"cw/fault"
)

// dialTime is how long a connection may take to come about.
const dialTime = 5 * time.Second

// dialer opens sockets from the job's source address and interface.
func (j *Job) dialer(network string) (*gonet.Dialer, error) {
	d := &gonet.Dialer{Timeout: dialTime, Control: socketOptions{device: j.Device}.control, KeepAlive: -1}
	if j.Source != "" {
		ip := gonet.ParseIP(j.Source)
		if ip == nil {
			return nil, fault.New(fault.Usage, "", "source %q is not an address", j.Source)
		}
		if network == "udp" {
			d.LocalAddr = &gonet.UDPAddr{IP: ip}
		} else {
			d.LocalAddr = &gonet.TCPAddr{IP: ip}
		}
	}
	return d, nil
}

// dialTCP connects and says hello.
func (j *Job) dialTCP(ctx context.Context, h hello) (*gonet.TCPConn, error) {
	d, err := j.dialer("tcp")
	if err != nil {
		return nil, err
	}
	conn, err := d.DialContext(ctx, "tcp", j.Target)
	if err != nil {
		return nil, j.unreachable(ctx, err)
	}
	b := h.encode(tokenHash(j.Token))
	_ = conn.SetWriteDeadline(time.Now().Add(dialTime))
	if _, err := conn.Write(b[:]); err != nil {
		_ = conn.Close()
		return nil, j.unreachable(ctx, err)
	}
	_ = conn.SetWriteDeadline(time.Time{})
	return conn.(*gonet.TCPConn), nil
}

// unreachable says why there is no connection, and what to do about it.
func (j *Job) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	_, port, _ := gonet.SplitHostPort(j.Target)
	hint := fmt.Sprintf("does a firewall let TCP and UDP through to port %s of that host?", port)
	if errors.Is(err, errNoPorts) && j.Source != "" {
		hint = fmt.Sprintf("is %s an address of this host? ip addr", j.Source)
	}
	return fault.New(fault.Unreachable, hint, "connect to %s: %w", j.Target, err)
}
