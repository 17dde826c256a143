package net

import (
	"context"
	"errors"
	"fmt"
	gonet "net"
	"time"

	"cw/perfcheck"
)

// What a probe asks of the listening side, in the header's phase.
const (
	probeAck  = 1 // say that it came
	probeBack = 2 // send a datagram of as many bytes as the stamp says, unfragmented
	probeNo   = 3 // the answer when that is larger than the interface allows
)

// The sizes that matter: Greenplum's interconnect sends datagrams of up to
// gp_max_packet_size, 8192 bytes.
const (
	largeDatagram = 8192
	smallDatagram = 512
	volley        = 20 // datagrams of a size
)

func (sess *session) servePMTU(ctx context.Context) error {
	conns, err := sess.gather(ctx)
	if err != nil {
		return err
	}
	u := udpConns(conns)[0]
	if err := mtuDiscovery(u, probeMTU); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		answerProbes(u, sess.id)
	}()
	defer func() { _ = u.Close(); <-ended }()
	return sess.together(ctx, func() error { return nil })
}

func answerProbes(u *gonet.UDPConn, session uint64) {
	buffer := make([]byte, 1<<16)
	var h header
	for {
		n, err := u.Read(buffer)
		if errors.Is(err, gonet.ErrClosed) {
			return
		}
		if err != nil || !h.decode(buffer[:n]) || h.session != session {
			continue
		}
		size := headerSize
		if h.phase == probeBack {
			size = int(min(max(h.stamp, headerSize), maxPacket))
		}
		h.encode(buffer)
		if _, err := u.Write(buffer[:size]); errors.Is(err, errTooLarge) {
			h.phase = probeNo
			h.encode(buffer)
			_, _ = u.Write(buffer[:headerSize])
		}
	}
}

// prober sends single datagrams and waits for the answers.
type prober struct {
	conn     *gonet.UDPConn
	session  uint64
	seq      uint64
	patience time.Duration
	buffer   []byte
}

// probeTries is how often one size is tried: a lost datagram is no sign of
// its size.
const probeTries = 3

// passes tells whether datagrams of so many bytes of payload get there, or
// back.
func (p *prober) passes(ctx context.Context, size int, what uint16) (bool, error) {
	for range probeTries {
		if err := p.send(size, what); errors.Is(err, errTooLarge) {
			return false, nil
		} else if err != nil && !errors.Is(err, errNoBuffers) {
			return false, err
		}
		ok, err := p.hear(ctx, p.seq, p.patience)
		if err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

func (p *prober) send(size int, what uint16) error {
	p.seq++
	h := header{phase: what, session: p.session, seq: p.seq, stamp: int64(size)}
	h.encode(p.buffer)
	if what == probeBack {
		size = headerSize
	}
	_, err := p.conn.Write(p.buffer[:size])
	return err
}

// hear waits for the answer to a probe.
func (p *prober) hear(ctx context.Context, seq uint64, patience time.Duration) (bool, error) {
	end := time.Now().Add(patience)
	var h header
	for time.Now().Before(end) {
		_ = p.conn.SetReadDeadline(end)
		n, err := p.conn.Read(p.buffer)
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if err == nil && h.decode(p.buffer[:n]) && h.seq == seq {
			return h.phase != probeNo, nil
		}
	}
	return false, nil
}

// largest is the largest payload between two sizes that passes; low is known
// to.
func largest(low, high int, passes func(int) (bool, error)) (int, error) {
	for try := high; low < high; try = (low + high + 1) / 2 {
		ok, err := passes(try)
		if err != nil {
			return 0, err
		}
		if ok {
			low = try
		} else {
			high = try - 1
		}
	}
	return low, nil
}

// fragments is how many packets a datagram takes: all but the last carry a
// multiple of 8 bytes.
func fragments(payload, mtu, header int) int {
	udp := payload + 8
	if udp+header <= mtu {
		return 1
	}
	if header == 40 {
		header += 8 // IPv6 has an extension header for it
	}
	each := (mtu - header) &^ 7
	return (udp + each - 1) / each
}

// share is the part of a volley of datagrams that vanishes.
func (p *prober) lost(ctx context.Context, size int) (float64, error) {
	first := p.seq + 1
	for range volley {
		err := p.send(size, probeAck)
		if err != nil && !errors.Is(err, errTooLarge) && !errors.Is(err, errNoBuffers) {
			return 0, err
		}
	}
	came := map[uint64]bool{}
	var h header
	for end := time.Now().Add(2 * p.patience); time.Now().Before(end) && len(came) < volley; {
		_ = p.conn.SetReadDeadline(end)
		n, err := p.conn.Read(p.buffer)
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if err == nil && h.decode(p.buffer[:n]) && h.seq >= first {
			came[h.seq] = true
		}
	}
	return 1 - float64(len(came))/volley, nil
}

func (c *client) runPMTU(ctx context.Context) (perfcheck.Measurement, error) {
	u := udpConns(c.conns)[0]
	p := &prober{conn: u, session: c.session, patience: time.Second, buffer: make([]byte, 1<<16)}
	m := perfcheck.Measurement{Values: map[string]float64{}, Began: time.Now()}
	ip, overhead := 20, 28
	if isIPv6(u) {
		ip, overhead = 40, 48
	}
	if err := mtuDiscovery(u, probeMTU); err != nil {
		return m, err
	}
	began := time.Now()
	if ok, err := p.passes(ctx, headerSize, probeAck); err != nil || !ok {
		return m, errors.Join(errors.New("not even small datagrams pass"), err)
	}
	rtt := time.Since(began)
	p.patience = min(max(60*time.Millisecond, 5*rtt), time.Second)
	mtu := interfaceMTU(u)
	top := min(mtu-overhead, maxPacket)
	there, err := largest(headerSize, top, func(size int) (bool, error) { return p.passes(ctx, size, probeAck) })
	if err != nil {
		return m, err
	}
	back, err := largest(headerSize, top, func(size int) (bool, error) { return p.passes(ctx, size, probeBack) })
	if err != nil {
		return m, err
	}
	m.Values["mtu"], m.Values["mtu_back"], m.Values["mtu_interface"] = float64(there+overhead), float64(back+overhead), float64(mtu)
	m.Values["rtt"] = rtt.Seconds()
	m.Values["fragments"] = float64(fragments(largeDatagram, there+overhead, ip))
	if there < top {
		silent, err := p.silent(ctx, top, there+overhead)
		if err != nil {
			return m, err
		}
		if silent {
			m.Flags = append(m.Flags, perfcheck.FlagMTUSilent)
		}
	}
	return m, p.volleys(ctx, &m)
}

// silent tells whether the path drops what is too large without a word.
func (p *prober) silent(ctx context.Context, size, mtu int) (bool, error) {
	if err := mtuDiscovery(p.conn, dontFragment); err != nil {
		return false, err
	}
	if _, err := p.passes(ctx, size, probeAck); err != nil && !errors.Is(err, errNobodyThere) {
		return false, err
	}
	known, err := knownMTU(p.conn)
	return known > mtu, err
}

// volleys sends small and large datagrams as a database would.
func (p *prober) volleys(ctx context.Context, m *perfcheck.Measurement) error {
	if err := mtuDiscovery(p.conn, usualMTU); err != nil {
		return err
	}
	small, err := p.lost(ctx, smallDatagram)
	if err != nil {
		return fmt.Errorf("datagrams of %d bytes: %w", smallDatagram, err)
	}
	large, err := p.lost(ctx, largeDatagram)
	if err != nil {
		return fmt.Errorf("datagrams of %d bytes: %w", largeDatagram, err)
	}
	m.Values["small_loss"], m.Values["large_loss"] = small, large
	if large > 0.5 && small < 0.5 {
		m.Flags = append(m.Flags, perfcheck.FlagMTUMismatch)
	}
	return nil
}

// interfaceMTU is the MTU of the interface with the socket's address.
func interfaceMTU(u *gonet.UDPConn) int {
	if a, ok := u.LocalAddr().(*gonet.UDPAddr); ok {
		if n, err := gonet.InterfaceByName(nicOf(a.IP)); err == nil {
			return n.MTU
		}
	}
	return 1500
}
