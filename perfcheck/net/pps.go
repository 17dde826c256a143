package net

import (
	"context"
	"errors"
	"fmt"
	gonet "net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"cw/perfcheck"
)

// The search for the highest packet rate: a first step as fast as the sender
// can, and then ever narrower ones.
const (
	ppsSteps   = 9
	ppsLoss    = 0.001 // what RFC 2544 would have at 0
	shortestPP = 250 * time.Millisecond
)

func (j *Job) ppsStep() time.Duration { return max(j.Duration/ppsSteps, shortestPP) }

// servePPS counts packets by their step.
func (sess *session) servePPS(ctx context.Context) error {
	conns, err := sess.gather(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var counts [ppsSteps + 1]atomic.Int64
	var all sync.WaitGroup
	udp := udpConns(conns)
	defer func() {
		for _, u := range udp {
			_ = u.Close()
		}
		all.Wait()
	}()
	for _, u := range udp {
		all.Go(func() {
			if err := sess.count(u, &counts); !errors.Is(err, gonet.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
				cancel(fmt.Errorf("receive datagrams: %w", err))
			}
		})
	}
	return sess.together(ctx, func() error {
		drops := sumDrops(udp)
		for range ppsSteps {
			m, err := sess.ctl.wait(ctx, msgSent)
			if err != nil {
				return err
			}
			if m.Step < 1 || m.Step > ppsSteps {
				return fmt.Errorf("there is no step %d", m.Step)
			}
			for before := int64(-1); before != counts[m.Step].Load(); {
				before = counts[m.Step].Load()
				if err := perfcheck.WaitUntil(ctx, time.Now().Add(settleStep)); err != nil {
					return err
				}
			}
			now := sumDrops(udp)
			h := half{Packets: counts[m.Step].Load(), Drops: now - drops}
			drops = now
			if err := sess.ctl.sendOr(message{Type: msgResult, Half: &h}); err != nil {
				return err
			}
		}
		return nil
	})
}

func sumDrops(conns []*gonet.UDPConn) (sum int64) {
	for _, c := range conns {
		n, _ := socketDrops(c)
		sum += n
	}
	return sum
}

func (sess *session) count(u *gonet.UDPConn, counts *[ppsSteps + 1]atomic.Int64) error {
	b, err := newBatch(u, sess.job.Packet, false)
	if err != nil {
		return err
	}
	var h header
	for {
		n, err := b.receive()
		if err != nil {
			return err
		}
		for i := range n {
			if h.decode(b.packet(i)) && h.session == sess.id && h.phase >= 1 && h.phase <= ppsSteps {
				counts[h.phase].Add(1)
			}
		}
	}
}

// step is the outcome of one rate.
type step struct {
	target   float64 // packets per second; 0 is as fast as it goes
	sent     float64 // packets per second
	received float64
	drops    float64 // share that the receiving sockets had no room for
	loss     float64 // share
}

// searchRate looks for the highest rate with a loss below limit in a number
// of steps. The first is unpaced and tells what the sender can do.
func searchRate(steps int, limit float64, try func(rate float64) (step, error)) (best, first step, err error) {
	first, err = try(0)
	if err != nil {
		return best, first, err
	}
	low, high := 0.0, first.sent
	next := 0.95 * first.received // about what got through is a good guess
	if first.loss < limit {
		best, next = first, 0
	}
	least := first.loss
	for range steps - 1 {
		s, err := try(next)
		if err != nil {
			return best, first, err
		}
		least = min(least, s.loss)
		if s.loss < limit {
			if s.received > best.received {
				best = s
			}
			low = max(low, s.target)
		} else if s.target > 0 {
			high = min(high, s.target)
		}
		if first.loss >= limit {
			next = (low + high) / 2
		}
	}
	if best.received == 0 {
		return best, first, fmt.Errorf("%.2f %% of the packets or more are lost at every rate, down to %.0f per second", least*100, next)
	}
	return best, first, nil
}

func (c *client) runPPS(ctx context.Context) (perfcheck.Measurement, error) {
	udp := udpConns(c.conns)
	number := 0
	began := time.Now()
	best, first, err := searchRate(ppsSteps, ppsLoss, func(rate float64) (step, error) {
		number++
		s, err := c.ppsTry(ctx, udp, number, rate)
		if err == nil && c.on != nil {
			c.on(perfcheck.Second{At: time.Since(began).Seconds(), Value: s.received})
		}
		return s, err
	})
	if err != nil {
		return perfcheck.Measurement{}, err
	}
	m := perfcheck.Measurement{Began: began, Values: map[string]float64{
		"rate":        best.received,
		"tx_target":   best.target,
		"tx_achieved": best.sent,
		"loss":        best.loss,
		"sender_max":  first.sent,
	}}
	if best.target == 0 || best.sent < rateKept*best.target {
		m.Flags = append(m.Flags, perfcheck.FlagClientLimited)
	}
	if first.drops > first.loss/2 && first.loss >= ppsLoss {
		m.Flags = append(m.Flags, perfcheck.FlagReceiverDrops)
	}
	return m, nil
}

// holdPPS sends small datagrams at a rate for the whole time, as a series: a
// search would not see credits run out.
func holdPPS(ctx context.Context, job Job, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	size := float64(job.Packet)
	job.Kind = UDP
	job.Rate *= size
	m, err := runOne(ctx, job, func(s perfcheck.Second) {
		if on != nil {
			on(perfcheck.Second{At: s.At, Value: s.Value / size})
		}
	})
	if err != nil {
		return m, err
	}
	m.Values["rate"] = m.Values["throughput"] / size
	m.Values["target"] /= size
	delete(m.Values, "throughput")
	m.Series[0].Name, m.Series[0].Unit = "rate", perfcheck.PerSecond
	for i := range m.Series[0].Values {
		m.Series[0].Values[i] /= size
	}
	return m, nil
}

// ppsTry sends one step from all sockets and asks what has arrived.
func (c *client) ppsTry(ctx context.Context, udp []*gonet.UDPConn, number int, rate float64) (step, error) {
	errs := make([]error, len(udp))
	counts := make([]int64, len(udp))
	var all sync.WaitGroup
	began := time.Now()
	end := began.Add(c.job.ppsStep())
	for i, u := range udp {
		all.Go(func() { counts[i], errs[i] = c.blast(ctx, u, i, number, rate/float64(len(udp)), began, end) })
	}
	all.Wait()
	took := time.Since(began).Seconds()
	if ctx.Err() != nil {
		return step{}, context.Cause(ctx)
	}
	if err := errors.Join(errs...); err != nil {
		return step{}, fmt.Errorf("send packets: %w", err)
	}
	var sent float64
	for _, n := range counts {
		sent += float64(n)
	}
	if err := c.ctl.sendOr(message{Type: msgSent, Step: number}); err != nil {
		return step{}, err
	}
	h, err := c.result(ctx)
	if err != nil {
		return step{}, err
	}
	return step{
		target: rate, sent: sent / took, received: float64(h.Packets) / took,
		loss: max(1-float64(h.Packets)/max(sent, 1), 0), drops: float64(h.Drops) / max(sent, 1),
	}, nil
}

func (c *client) blast(ctx context.Context, u *gonet.UDPConn, stream, number int, rate float64, began, end time.Time) (int64, error) {
	b, err := newBatch(u, c.job.Packet, false)
	if err != nil {
		return 0, err
	}
	h := header{phase: uint16(number), session: c.session, stream: uint16(stream)}
	for i := range b.buffers {
		h.encode(b.buffers[i])
	}
	_ = u.SetWriteDeadline(end.Add(time.Second))
	p := pacer{rate: rate, start: began, last: began}
	var total int64
	for now := time.Now(); now.Before(end); now = time.Now() {
		n := p.due(now, batchSize)
		if n == 0 {
			if ctx.Err() != nil {
				return total, context.Cause(ctx)
			}
			nap(p.wait(now))
			continue
		}
		for done := 0; done < n; {
			k, err := b.send(done, n, c.job.Packet)
			if errors.Is(err, errNoBuffers) || errors.Is(err, errNotPermitted) {
				k, err = 1, nil
			}
			if err != nil {
				return total, err
			}
			done += k
			total += int64(k)
		}
	}
	return total, nil
}
