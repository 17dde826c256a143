package vip

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"cw/fault"
)

// answer is a good answer of a holder.
type answer struct {
	number uint64
	holder int
	sent   time.Time
	at     time.Time
}

// change is when the hardware address of the address was seen to be another.
type change struct {
	mac string
	at  time.Time
}

// Eye is a Client on its own machine.
type Eye struct {
	mu      sync.Mutex
	args    ClientArgs
	udp     []answer
	tcp     []answer
	sent    []time.Time // when each question was sent, by number
	dialled []time.Time
	arps    []change
	late    time.Duration

	quit context.CancelFunc
	all  sync.WaitGroup
	conn net.PacketConn
}

// connectFor is how long a connection may take: the kernel repeats its first
// packet after a second, and such a one would tell of the repetition.
const connectFor = 900 * time.Millisecond

// InUse implements Client.
func (e *Eye) InUse(ctx context.Context, address string) (string, error) {
	a, err := parseAddress(address)
	if err != nil {
		return "", err
	}
	dev, err := devFor(a)
	if err != nil {
		return "", nil //nolint:nilerr // behind a router: ARP does not reach it
	}
	mac, err := whoHas(ctx, dev, a)
	if err != nil || mac == nil {
		return "", err
	}
	return mac.String(), nil
}

// Begin implements Client.
func (e *Eye) Begin(ctx context.Context, a ClientArgs) (int, error) {
	address, err := parseAddress(a.Address)
	if err != nil {
		return 0, err
	}
	if a.Every <= 0 || a.Port <= 0 {
		return 0, fault.New(fault.Usage, "", "a client that asks port %d every %s", a.Port, a.Every)
	}
	e.mu.Lock()
	if e.quit != nil {
		e.mu.Unlock()
		return 0, fault.New(fault.Usage, "", "the client asks already")
	}
	conn, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp4", ":0")
	if err != nil {
		e.mu.Unlock()
		return 0, err
	}
	life, quit := context.WithCancel(context.WithoutCancel(ctx))
	e.args, e.conn, e.quit = a, conn, quit
	e.udp, e.tcp, e.sent, e.dialled, e.arps, e.late = nil, nil, nil, nil, nil, 0
	e.mu.Unlock()
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, uint16(a.Port)))
	e.all.Go(func() { e.receive(conn) })
	e.all.Go(func() { e.ask(life, conn, to) })
	e.all.Go(func() { e.connect(life, to.String()) })
	e.all.Go(func() { e.watchARP(life) })
	holder, err := e.steady(ctx, 0, time.Time{})
	if err != nil {
		e.Stop()
		return 0, err
	}
	return holder, nil
}

// every calls fn at fixed times until the context ends.
func every(ctx context.Context, d time.Duration, fn func(due time.Time)) {
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		due := begin.Add(time.Duration(n) * d)
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			fn(due)
		}
	}
}

func (e *Eye) ask(ctx context.Context, conn net.PacketConn, to net.Addr) {
	every(ctx, e.args.Every, func(due time.Time) {
		e.mu.Lock()
		now := time.Now()
		number := uint64(len(e.sent))
		e.sent = append(e.sent, now)
		e.late = max(e.late, now.Sub(due))
		e.mu.Unlock()
		_, _ = conn.WriteTo(question(e.args.Token, number), to) // that nobody has the address is what is measured
	})
}

func (e *Eye) receive(conn net.PacketConn) {
	b := make([]byte, 64)
	for {
		n, _, err := conn.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		now := time.Now()
		number, holder, ok := readAnswer(b[:n], e.args.Token)
		e.mu.Lock()
		if ok && number < uint64(len(e.sent)) {
			e.udp = append(e.udp, answer{number, holder, e.sent[number], now})
		}
		e.mu.Unlock()
	}
}

// connect opens a connection again and again; those that take long do not
// hold up the next.
func (e *Eye) connect(ctx context.Context, to string) {
	var dials sync.WaitGroup
	defer dials.Wait()
	every(ctx, e.args.Every, func(time.Time) {
		e.mu.Lock()
		number := uint64(len(e.dialled))
		began := time.Now()
		e.dialled = append(e.dialled, began)
		e.mu.Unlock()
		dials.Go(func() {
			d := net.Dialer{Timeout: connectFor}
			c, err := d.DialContext(ctx, "tcp4", to)
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(began.Add(2 * connectFor))
			b := make([]byte, answerSize+1)
			n := 0
			for n < answerSize {
				k, err := c.Read(b[n:])
				if n += k; err != nil {
					return
				}
			}
			if _, holder, ok := readAnswer(b[:n], e.args.Token); ok {
				e.mu.Lock()
				e.tcp = append(e.tcp, answer{number, holder, began, time.Now()})
				e.mu.Unlock()
			}
		})
	})
}

func (e *Eye) watchARP(ctx context.Context) {
	last := ""
	every(ctx, e.args.Every, func(time.Time) {
		if mac := neighbour(e.args.Address); mac != "" && mac != last {
			e.mu.Lock()
			e.arps = append(e.arps, change{mac, time.Now()})
			e.mu.Unlock()
			last = mac
		}
	})
}

// steady waits until a holder (any, for 0) has answered everything, by UDP
// and TCP, for a while.
func (e *Eye) steady(ctx context.Context, holder int, since time.Time) (int, error) {
	limit := time.NewTimer(e.args.Timeout)
	defer limit.Stop()
	tick := time.NewTicker(max(e.args.Every, 5*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-limit.C:
			return 0, e.silent(holder)
		case now := <-tick.C:
			e.mu.Lock()
			from := now.Add(-e.args.Calm)
			u, uok := steadyBy(e.udp, e.sent, from, now)
			t, tok := steadyBy(e.tcp, e.dialled, from, now)
			e.mu.Unlock()
			if uok && tok && u == t && (holder == 0 || u == holder) && from.After(since) {
				return u, nil
			}
		}
	}
}

func (e *Eye) silent(holder int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	who := "nobody answers steadily"
	if holder != 0 {
		who = "the one that should have it now does not answer steadily"
	}
	return fault.New(fault.Unreachable, "--timeout gives it longer; a firewall may close the port ("+strconv.Itoa(e.args.Port)+", --port chooses it)",
		"%s for %s within %s: %d of %d datagrams and %d of %d connections were answered", who, e.args.Address, e.args.Timeout, len(e.udp), len(e.sent), len(e.tcp), len(e.dialled))
}

// steadyBy tells who alone has answered nine of ten questions sent in a time,
// without the youngest, whose answers may be on their way.
func steadyBy(answers []answer, sent []time.Time, from, now time.Time) (holder int, ok bool) {
	asked := 0
	for _, at := range slices.Backward(sent) {
		if at.Before(from) {
			break
		}
		if now.Sub(at) > 50*time.Millisecond {
			asked++
		}
	}
	got := 0
	for _, a := range slices.Backward(answers) {
		if a.at.Before(from.Add(-time.Second)) {
			break
		}
		if a.sent.Before(from) || now.Sub(a.sent) <= 50*time.Millisecond {
			continue
		}
		if holder == 0 {
			holder = a.holder
		}
		if a.holder != holder {
			return 0, false
		}
		got++
	}
	return holder, asked >= 5 && got*10 >= asked*9
}

// Finish implements Client.
func (e *Eye) Finish(ctx context.Context, holder int) (Seen, error) {
	e.mu.Lock()
	running := e.quit != nil
	e.mu.Unlock()
	if !running {
		return Seen{}, fault.New(fault.Usage, "", "the client does not ask")
	}
	_, err := e.steady(ctx, holder, time.Time{})
	e.Stop()
	if err != nil {
		return Seen{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen(holder)
}

// Stop ends the asking.
func (e *Eye) Stop() {
	e.mu.Lock()
	quit, conn := e.quit, e.conn
	e.quit = nil
	e.mu.Unlock()
	if quit == nil {
		return
	}
	quit()
	_ = conn.Close()
	e.all.Wait()
}

// seen sums up what there was between the last good answer of the old holder
// and the first of the new one.
func (e *Eye) seen(holder int) (Seen, error) {
	udp, last, first, err := gap(e.udp, holder)
	if err != nil {
		return Seen{}, err
	}
	tcp, tlast, tfirst, err := gap(e.tcp, holder)
	if err != nil {
		return Seen{}, err
	}
	s := Seen{Outage: udp, TCPOutage: tcp, Sent: len(e.sent), ARP: -1, Late: e.late.Seconds()}
	s.Lost = lost(e.sent, e.udp, last.sent, first.sent)
	s.TCPLost = lost(e.dialled, e.tcp, tlast.sent, tfirst.sent)
	for _, a := range e.udp {
		if a.holder != holder && a.at.After(first.at) {
			s.Both++
		}
	}
	for i, c := range e.arps {
		if i > 0 { // the first is the one that was there
			s.ARP = max(0, c.at.Sub(last.at).Seconds())
			break
		}
	}
	return s, nil
}

// gap is the time from the last good answer of others to the first of the
// holder.
func gap(answers []answer, holder int) (seconds float64, last, first answer, err error) {
	slices.SortStableFunc(answers, func(a, b answer) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	i := slices.IndexFunc(answers, func(a answer) bool { return a.holder == holder })
	if i < 1 {
		return 0, last, first, errors.New("there was no answer of the old holder before those of the new one")
	}
	last, first = answers[i-1], answers[i]
	if first.sent.Before(last.sent) {
		last.sent, first.sent = first.sent, last.sent
	}
	return first.at.Sub(last.at).Seconds(), last, first, nil
}

// lost counts the questions between two that were never answered.
func lost(sent []time.Time, answers []answer, from, to time.Time) int {
	good := map[uint64]bool{}
	for _, a := range answers {
		good[a.number] = true
	}
	n := 0
	for i, at := range sent {
		if at.After(from) && at.Before(to) && !good[uint64(i)] {
			n++
		}
	}
	return n
}
