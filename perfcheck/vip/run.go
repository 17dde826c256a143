package vip

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cw/fault"
	"cw/perfcheck"
)

// How an address moves.
const (
	// FaultAddress: the holder loses the address from one moment to the
	// next, which to others looks as if it were dead.
	FaultAddress = "address"
	// FaultLink: its interface goes down.
	FaultLink = "link"
)

// Options say what is measured.
type Options struct {
	Address string
	Port    int // 0 is any
	Token   uint64
	Dev     string
	Tests   []string // ids
	Repeats int
	Every   time.Duration // between questions
	Calm    time.Duration // how long answers must come until a move is over
	Timeout time.Duration // until they do
	Detect  time.Duration // of an unplanned move: until the other gets the address
	Fault   string        // FaultAddress or FaultLink

	Client  Client
	Holders [2]Holder
	Names   [2]string
	// Move, when set, moves the address in some other way: the user's
	// program, or the cloud's. Holders are not touched then.
	Move func(ctx context.Context, from, to int) error
	// Loopback: see HolderArgs.
	Loopback bool

	Phase func(text string)
	Warn  func(text string)
}

// Move is one measured move.
type Move struct {
	Seen
	From, To string
	Moved    float64 // how long the moving itself took, in seconds
	Began    time.Time
}

// Outcome is what a run yields, by test.
type Outcome struct {
	Moves  map[string][]Move
	Failed map[string]error
}

// Run measures. Afterwards the address is where it was before, or nowhere;
// closing the Holders, which is the caller's, makes sure of that.
func Run(ctx context.Context, o Options) (*Outcome, error) {
	r := &runner{o: o, out: &Outcome{Moves: map[string][]Move{}, Failed: map[string]error{}}}
	if err := r.listen(ctx); err != nil {
		return r.out, err
	}
	for _, test := range o.Tests {
		if err := r.test(ctx, test); err != nil {
			if ctx.Err() != nil {
				return r.out, context.Cause(ctx)
			}
			r.out.Failed[test] = err
			if err := r.settle(ctx); err != nil {
				return r.out, err
			}
		}
	}
	return r.out, r.home(ctx)
}

type runner struct {
	o      Options
	out    *Outcome
	port   int
	at     int // the holder that has the address
	origin int // the holder that had it before, -1 when none
	down   [2]bool
}

// listen opens the servers and finds out who has the address.
func (r *runner) listen(ctx context.Context) error {
	o := r.o
	r.port, r.origin = o.Port, -1
	for i, h := range o.Holders {
		l, err := h.Listen(ctx, HolderArgs{Address: o.Address, Port: r.port, Token: o.Token, ID: i + 1, Dev: o.Dev, Foreign: o.Move != nil, Loopback: o.Loopback})
		if err != nil {
			return err
		}
		r.port = l.Port
		if l.Has {
			if r.origin >= 0 && o.Move == nil {
				return fault.New(fault.Check, "take it away from one of them", "%s and %s both have %s", o.Names[0], o.Names[1], o.Address)
			}
			r.origin, r.at = i, i
		}
		if o.Fault == FaultLink && l.Bound != "" {
			return fault.New(fault.Check, "leave --fault link out, or name an interface of its own: --dev", "%s: %s must not go down: %s", o.Names[i], l.Dev, l.Bound)
		}
	}
	if o.Move != nil {
		return nil // who has it is seen by who answers
	}
	if r.origin >= 0 {
		o.Warn(fmt.Sprintf("%s has %s already: it will have it again afterwards", o.Names[r.origin], o.Address))
		return nil
	}
	mac, err := o.Client.InUse(ctx, o.Address)
	if err != nil {
		return err
	}
	if mac != "" {
		return fault.New(fault.Check, "give an address that nobody has, or one of the two holders", "%s is in use by %s, which is none of the two", o.Address, mac)
	}
	return o.Holders[0].Take(ctx, false)
}

// test repeats one way to move.
func (r *runner) test(ctx context.Context, test string) error {
	for i := range r.o.Repeats {
		r.o.Phase(fmt.Sprintf("%s: %d of %d", test, i+1, r.o.Repeats))
		m, err := r.move(ctx, test)
		if err != nil {
			return fmt.Errorf("move %d of %d: %w", i+1, r.o.Repeats, err)
		}
		r.out.Moves[test] = append(r.out.Moves[test], m)
	}
	return nil
}

// move measures one move.
func (r *runner) move(ctx context.Context, test string) (Move, error) {
	o := r.o
	holder, err := o.Client.Begin(ctx, ClientArgs{Address: o.Address, Port: r.port, Token: o.Token, Every: o.Every, Calm: o.Calm, Timeout: o.Timeout})
	if err != nil {
		return Move{}, err
	}
	from := holder - 1
	if from != 0 && from != 1 {
		return Move{}, fmt.Errorf("holder %d answers, and there are two", holder)
	}
	if o.Move != nil && r.origin < 0 {
		r.origin = from
	}
	to := 1 - from
	m := Move{From: o.Names[from], To: o.Names[to], Began: time.Now()}
	err = r.shift(ctx, test, from, to)
	m.Moved = time.Since(m.Began).Seconds()
	if err == nil {
		m.Seen, err = o.Client.Finish(ctx, to+1)
	} else {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		_, _ = o.Client.Finish(stop, to+1) // it stops, whatever it has seen
		cancel()
	}
	if r.at = from; err == nil {
		r.at = to
	}
	return m, errors.Join(err, r.up(ctx, from))
}

// shift takes the address away from one and gives it to the other.
func (r *runner) shift(ctx context.Context, test string, from, to int) error {
	o := r.o
	if o.Move != nil {
		return o.Move(ctx, from, to)
	}
	quiet := test == TestPlannedQuiet || test == TestUnplannedQuiet
	unplanned := test == TestUnplanned || test == TestUnplannedQuiet
	if unplanned && o.Fault == FaultLink {
		r.down[from] = true
		if err := o.Holders[from].Down(ctx); err != nil {
			return err
		}
	} else if err := o.Holders[from].Drop(ctx); err != nil {
		return err
	}
	if unplanned {
		if err := perfcheck.WaitUntil(ctx, time.Now().Add(o.Detect)); err != nil {
			return err
		}
	}
	return o.Holders[to].Take(ctx, quiet)
}

// up ends a failure.
func (r *runner) up(ctx context.Context, holder int) error {
	if !r.down[holder] {
		return nil
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	err := r.o.Holders[holder].Up(clean)
	r.down[holder] = err != nil
	return err
}

// settle brings the address to one holder after something went wrong.
func (r *runner) settle(ctx context.Context) error {
	if r.o.Move != nil {
		return nil
	}
	return errors.Join(r.up(ctx, 0), r.up(ctx, 1), r.o.Holders[1-r.at].Drop(ctx), r.o.Holders[r.at].Take(ctx, false))
}

// home brings the address back to where it was before.
func (r *runner) home(ctx context.Context) error {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	switch {
	case r.o.Move != nil && r.origin >= 0 && r.origin != r.at:
		return r.o.Move(clean, r.at, r.origin)
	case r.o.Move != nil:
		return nil
	case r.origin < 0:
		return errors.Join(r.o.Holders[0].Drop(clean), r.o.Holders[1].Drop(clean))
	}
	return errors.Join(r.o.Holders[1-r.origin].Drop(clean), r.o.Holders[r.origin].Take(clean, false))
}
