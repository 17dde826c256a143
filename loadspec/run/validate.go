package run

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"cw/fault"
	"cw/loadspec/copy"
	"cw/loadspec/ledger"
	"cw/loadspec/source"
	"cw/loadspec/split"
)

// PhaseCheck is the phase in which rows are tried.
const PhaseCheck = "check"

// Validation is what came of trying rows without loading them.
type Validation struct {
	Rows    int64 // tried
	Refused int64 // of those, and objects that could not be read to their end
	Objects int64
	Bytes   int64 // of the objects as stored, read
}

// Validate tries the rows of all objects, or of each the first so many bytes
// (0: all), on temporary tables, and tells every one that the database would
// refuse. What takes all rows together to be told, as a key that is there
// twice, is not found. tell is called by one at a time.
func Validate(ctx context.Context, o Options, most int64, tell func(ledger.Rejected)) (*Validation, error) {
	j := newJob(o)
	j.checking = true
	conn, err := j.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(ctx, conn)
	if err := j.prepare(ctx, conn); err != nil {
		return nil, err
	}
	switch {
	case j.gp != nil:
		return nil, fault.New(fault.Usage, "cw load check without it tries the first rows; load into a table made for that with ERROR_LIMIT",
			"rows are validated without loading on PostgreSQL only, and %s:%d is Greenplum", j.server.Host, j.server.Port)
	case j.creation != nil:
		return nil, fault.New(fault.Usage, "create it first: cw load check FILE --create-table prints its CREATE TABLE", "table %s does not exist yet", j.target())
	}
	target := j.table
	if j.plan, err = copy.NewPlan(j.spec, copy.Trial(target), j.encoding); err != nil {
		return nil, err
	}
	objects, err := j.set.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, obj := range objects {
		if obj.URL == source.StdinURL {
			return nil, fault.New(fault.Usage, "put it into a file", "standard input cannot be validated: it can be read once, and then there would be nothing to load")
		}
		j.objects = append(j.objects, object{Object: obj, gaps: []ledger.Gap{{End: ledger.ToEnd}}})
	}
	j.tolerance = copy.NewTolerance(math.MaxInt64, 0, 0, 0)
	j.tolerance.Converted = j.spec.Convert != nil
	j.state.phase(PhaseCheck)
	v := &validating{j: j, target: target, res: &Validation{Objects: int64(len(objects))}, tell: tell}
	j.most, j.unreadable = most, v.unreadable
	j.pieces = make(chan piece, 1)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return j.readAll(ctx) })
	for range j.workers {
		g.Go(func() error { return v.work(ctx) })
	}
	return v.res, g.Wait()
}

type validating struct {
	j      *job
	target *copy.Target

	mu   sync.Mutex
	res  *Validation
	tell func(ledger.Rejected)
}

// work tries pieces until there are none left.
func (v *validating) work(ctx context.Context) error {
	w := &worker{j: v.j}
	defer func() { closeConn(ctx, w.conn) }()
	for p := range v.pieces(ctx) {
		if w.conn == nil {
			if err := w.connect(ctx); err != nil {
				return err
			}
			if err := copy.MakeTrial(ctx, w.conn, v.target, v.j.plan.Loaded); err != nil {
				return err
			}
		}
		refused, err := w.session.Validate(ctx, p.Piece, p.r.Object)
		if err != nil {
			return err
		}
		v.mu.Lock()
		v.res.Rows += p.Records
		v.res.Bytes += p.r.SourceBytes
		v.res.Refused += int64(len(refused))
		for _, r := range refused {
			r.Reason = strings.ReplaceAll(r.Reason, `"`+copy.TrialTable+`"`, `"`+v.target.Table+`"`)
			v.tell(r)
		}
		v.mu.Unlock()
		p.release()
		v.j.state.committed(p.r, int64(len(refused)))
	}
	return context.Cause(ctx)
}

// pieces are those of the readers, until they or the context end.
func (v *validating) pieces(ctx context.Context) func(func(piece) bool) {
	return func(yield func(piece) bool) {
		for {
			select {
			case p, ok := <-v.j.pieces:
				if !ok || !yield(p) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// unreadable tells of an object that cannot be read to its end, and lets the
// others go on.
func (v *validating) unreadable(o *object, err error) {
	r := ledger.Rejected{Object: o.URL, Reason: strings.TrimPrefix(err.Error(), o.URL+" ")}
	var cut *split.Error
	if errors.As(err, &cut) {
		r.Line, r.Offset = cut.Line, cut.Offset
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.res.Refused++
	v.tell(r)
}
