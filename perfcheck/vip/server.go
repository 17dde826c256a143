package vip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	"cw/perfcheck/kernel"
)

// serve opens both servers on one port. They may bind an address that the
// machine does not have (yet); when somebody else moves it they take what
// comes, since clouds write another address into packets on their way.
func (s *Seat) serve(ctx context.Context) error {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) {
			err = kernel.BindAhead(int(fd))
		})
		return errors.Join(cerr, err)
	}}
	host := s.args.Address
	if s.args.Foreign {
		host = "0.0.0.0"
	}
	const tries = 20 // a port that is free for UDP may not be for TCP
	var err error
	for range tries {
		if s.udp, s.tcp, err = listenBoth(ctx, lc, net.JoinHostPort(host, strconv.Itoa(s.args.Port))); err == nil || s.args.Port != 0 {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("serve %s: %w", s.args.Address, err)
	}
	udp, tcp := s.udp, s.tcp
	s.servers.Go(func() { answerUDP(udp, s.args.Token, byte(s.args.ID)) })
	s.servers.Go(func() { answerTCP(tcp, s.args.Token, byte(s.args.ID)) })
	return nil
}

// listenBoth opens UDP and TCP on the same port.
func listenBoth(ctx context.Context, lc net.ListenConfig, at string) (*net.UDPConn, net.Listener, error) {
	c, err := lc.ListenPacket(ctx, "udp4", at)
	if err != nil {
		return nil, nil, err
	}
	udp, ok := c.(*net.UDPConn)
	if !ok {
		return nil, nil, errors.Join(fmt.Errorf("%T is no UDP", c), c.Close())
	}
	tcp, err := lc.Listen(ctx, "tcp4", udp.LocalAddr().String())
	if err != nil {
		return nil, nil, errors.Join(err, udp.Close())
	}
	return udp, tcp, nil
}

// answerUDP answers from the address that was asked.
func answerUDP(udp *net.UDPConn, token uint64, id byte) {
	b, oob := make([]byte, 64), make([]byte, 256)
	for {
		n, k, _, from, err := udp.ReadMsgUDPAddrPort(b[:32], oob)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil || !readQuestion(b[:n], token):
			continue
		}
		b[n] = id
		_, _, _ = udp.WriteMsgUDPAddrPort(b[:n+1], kernel.From(oob[:k]), from) // who does not get it counts it
	}
}

func answerTCP(tcp net.Listener, token uint64, id byte) {
	for {
		c, err := tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond) // too many open files pass
			continue
		}
		_ = c.SetDeadline(time.Now().Add(time.Second))
		_, _ = c.Write(append(question(token, 0), id))
		_ = c.Close()
	}
}
