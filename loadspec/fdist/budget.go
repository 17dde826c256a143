package fdist

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"cw/loadspec/throttle"
)

// Scope is what a speed limit is for.
type Scope string

// The scopes. Databases and users are known of reads only: segments do not
// say them when they write.
const (
	ScopeServer   Scope = "server"
	ScopeDatabase Scope = "database"
	ScopeUser     Scope = "user"
	ScopeSession  Scope = "session" // by the server's number
)

// Limit is one speed limit, in bytes of rows per second.
type Limit struct {
	Scope Scope  `json:"scope"`
	Name  string `json:"name,omitempty"`
	Rate  int64  `json:"rate"`
}

// Budget is the speed limits of a server: one for all, and one each for
// databases, users and sessions. A request keeps to all that it falls under.
// They can be changed at any time, for those who wait as well.
type Budget struct {
	server *throttle.Limiter
	some   atomic.Bool // there are limits other than the server's

	mu     sync.RWMutex
	limits map[Limit]*throttle.Limiter // with Rate 0 as the key
}

// NewBudget makes a budget of rate bytes per second for the whole server, 0
// for no limit.
func NewBudget(rate int64) *Budget {
	return &Budget{server: throttle.New(rate, nil), limits: map[Limit]*throttle.Limiter{}}
}

// Set changes one limit; rate 0 removes it.
func (b *Budget) Set(l Limit) {
	if l.Scope == ScopeServer {
		b.server.SetRate(l.Rate)
		return
	}
	key := Limit{Scope: l.Scope, Name: l.Name}
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.limits[key]
	switch {
	case t == nil && l.Rate > 0:
		b.limits[key] = throttle.New(l.Rate, nil)
	case t != nil:
		t.SetRate(l.Rate) // frees those who wait
		if l.Rate == 0 {
			delete(b.limits, key)
		}
	}
	b.some.Store(len(b.limits) > 0)
}

// List is the limits in force, the server's first.
func (b *Budget) List() []Limit {
	list := []Limit{}
	if rate := b.server.Rate(); rate > 0 {
		list = append(list, Limit{Scope: ScopeServer, Rate: rate})
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	from := len(list)
	for l, t := range b.limits {
		l.Rate = t.Rate()
		list = append(list, l)
	}
	slices.SortFunc(list[from:], func(x, y Limit) int {
		return cmp.Or(cmp.Compare(x.Scope, y.Scope), cmp.Compare(x.Name, y.Name))
	})
	return list
}

// Rate is the least limit that a session falls under, 0 for none.
func (b *Budget) Rate(i SessionInfo) int64 {
	least := b.server.Rate()
	for _, t := range b.narrow(i.Database, i.User, i.ID) {
		if r := t.Rate(); r > 0 && (least == 0 || r < least) {
			least = r
		}
	}
	return least
}

// narrow is the limits other than the server's.
func (b *Budget) narrow(database, user string, session int64) []*throttle.Limiter {
	if !b.some.Load() {
		return nil
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	var found []*throttle.Limiter
	for _, l := range []Limit{
		{Scope: ScopeSession, Name: strconv.FormatInt(session, 10)},
		{Scope: ScopeUser, Name: user},
		{Scope: ScopeDatabase, Name: database},
	} {
		if t := b.limits[l]; t != nil {
			found = append(found, t)
		}
	}
	return found
}

// Wait takes n bytes from all budgets of a request, the narrowest first: who
// waits for his own takes nothing from the others.
func (b *Budget) Wait(ctx context.Context, r *Request, n int) error {
	for _, t := range b.narrow(r.Database, r.User, r.session) {
		if err := t.Wait(ctx, n); err != nil {
			return err
		}
	}
	return b.server.Wait(ctx, n)
}

// Quantum is how many bytes to ask for at a time, 0 without a limit.
func (b *Budget) Quantum(r *Request) int {
	least := 0
	if b.server.Rate() > 0 {
		least = b.server.Quantum()
	}
	for _, t := range b.narrow(r.Database, r.User, r.session) {
		if q := t.Quantum(); least == 0 || q < least {
			least = q
		}
	}
	return least
}
