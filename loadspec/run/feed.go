package run

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/fdist"
	"cw/loadspec/format"
	"cw/loadspec/ledger"
	"cw/loadspec/split"
)

// feed is what a load's gpfdist server serves: the pieces that the readers
// send, wave by wave. A wave is what one statement loads.
type feed struct {
	pieces <-chan piece
	ended  <-chan struct{} // closed when reading is over, well or not
	cause  func() error    // why reading failed; nil while it has not
	served func(ledger.Range)
	stamp  func(p *split.Piece, object string) []byte // the rows with what MAPPING wants to know of their origin; nil: as they are
	newRow string                                     // appended to an object's last row when that has no end

	converted bool // rows may have some among them that could not be converted

	mu    sync.Mutex
	first *piece // taken from pieces to see whether there is one
	wave  *wave
}

// wave is one statement's share. The first statement that asks for its token
// gets it; no other can, so that rows neither go to a statement that somebody
// has left behind nor are missed by the one that counts.
type wave struct {
	f         *feed
	token     string
	budget    int64 // bytes left to hand out
	statement string
	ranges    []ledger.Range
	rejected  []ledger.Rejected // rows that could not be converted
	queue     []*fdist.Block    // of a piece that had such rows
	over      bool              // everything was handed out
}

// begin prepares the next wave of about budget bytes; an empty token means
// that nothing is left.
func (f *feed) begin(ctx context.Context, budget int64) (token string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == nil {
		p, err := f.take(ctx)
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		f.first = p
	}
	f.wave = &wave{f: f, token: strings.ToLower(rand.Text()), budget: budget}
	return f.wave.token, nil
}

// take waits for a piece; io.EOF says that there are no more.
func (f *feed) take(ctx context.Context) (*piece, error) {
	select {
	case p, ok := <-f.pieces:
		return received(p, ok)
	case <-f.ended:
		if err := f.cause(); err != nil {
			return nil, err
		}
		p, ok := <-f.pieces // what was sent before the end
		return received(p, ok)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func received(p piece, ok bool) (*piece, error) {
	if !ok {
		return nil, io.EOF
	}
	return &p, nil
}

// end closes the wave and returns what it has handed out, of each object as
// few ranges as possible. ok is false when not all of it can have arrived.
func (f *feed) end() (ranges []ledger.Range, rejected []ledger.Rejected, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.wave
	f.wave = nil
	if w == nil {
		return nil, nil, true // nothing was left to begin with
	}
	return merged(w.ranges), w.rejected, w.over && len(w.queue) == 0
}

// merged joins neighbours.
func merged(ranges []ledger.Range) []ledger.Range {
	sort.Slice(ranges, func(a, b int) bool {
		x, y := ranges[a], ranges[b]
		return x.Object < y.Object || x.Object == y.Object && (x.Start < y.Start || x.Start == y.Start && x.End < y.End)
	})
	var out []ledger.Range
	for _, r := range ranges {
		if n := len(out); n > 0 && out[n-1].Object == r.Object && out[n-1].End == r.Start && !out[n-1].EOF {
			last := &out[n-1]
			last.End, last.EOF = r.End, r.EOF
			last.Rows += r.Rows
			last.Lines += r.Lines
			last.SourceBytes += r.SourceBytes
			continue
		}
		out = append(out, r)
	}
	return out
}

// Open gives a segment's session its cursor. The path is /TOKEN/N, several N
// being there because segments limit how many of them read one URL.
func (f *feed) Open(_ context.Context, r *fdist.Request) (fdist.Blocks, error) {
	token, _, _ := strings.Cut(r.Path, "/")
	statement := r.XID + "." + r.CID + "." + r.SN
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.wave
	if w == nil || w.token != token {
		return nil, &fdist.StatusError{Code: http.StatusNotFound, Reason: "cw load: this statement is over"}
	}
	if w.statement == "" {
		w.statement = statement
	}
	if w.statement != statement {
		return nil, &fdist.StatusError{Code: http.StatusConflict, Reason: "cw load: another statement reads this external table"}
	}
	return w, nil
}

// Next hands out the next piece. Sessions of several paths may ask at once.
func (w *wave) Next(ctx context.Context) (*fdist.Block, error) {
	for {
		p, queued, err := w.next(ctx)
		if err != nil || queued != nil {
			return queued, err
		}
		if p == nil {
			continue // it had no rows that are any good
		}
		data := w.f.complete(p.Piece)
		if len(data) > 0 && w.f.stamp != nil {
			data = w.f.stamp(p.Piece, p.r.Object)
		}
		if len(data) == 0 {
			p.release()
			continue // an object without rows
		}
		return &fdist.Block{File: p.r.Object, Offset: p.r.Start, Line: p.FirstLine, Data: data, Release: p.release}, nil
	}
}

func (w *wave) next(ctx context.Context) (*piece, *fdist.Block, error) {
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	if w.f.wave == w && len(w.queue) > 0 {
		b := w.queue[0]
		w.queue = w.queue[1:]
		return nil, b, nil
	}
	if w.over || w.f.wave != w || w.budget <= 0 {
		w.over = true
		return nil, nil, io.EOF
	}
	p := w.f.first
	w.f.first = nil
	if p == nil {
		var err error
		if p, err = w.f.take(ctx); err != nil {
			w.over = errors.Is(err, io.EOF)
			return nil, nil, err
		}
	}
	w.budget -= p.r.End - p.r.Start
	p.r.Rows = p.Records
	cut := w.f.converted && format.Marked(p.Data)
	if cut {
		w.cut(p)
	}
	w.ranges = append(w.ranges, p.r)
	w.f.served(p.r)
	if cut {
		return nil, nil, nil
	}
	return p, nil, nil
}

// cut queues the good rows of a piece, and keeps those that could not be
// converted for the wave's transaction.
func (w *wave) cut(p *piece) {
	line, left := p.FirstLine, new(atomic.Int64)
	left.Store(1)
	release := func() {
		if left.Add(-1) == 0 {
			p.release()
		}
	}
	_ = format.EachRun(p.Data, func(begin, end int, records int64) error {
		left.Add(1)
		data := p.Data[begin:end:end]
		if w.f.stamp != nil {
			run := *p.Piece
			run.Data, run.FirstLine = data, line
			data = w.f.stamp(&run, p.r.Object)
		}
		w.queue = append(w.queue, &fdist.Block{File: p.r.Object, Offset: p.r.Start + int64(begin), Line: line, Data: data, Release: release})
		line += records
		return nil
	}, func(begin, _ int, u format.Unconverted) error {
		w.rejected = append(w.rejected, ledger.Rejected{Object: p.r.Object, Line: line, Offset: p.r.Start + int64(begin), Reason: u.Reason, Row: u.Row, Loaded: true})
		p.r.Rows--
		line++
		return nil
	})
	release()
}

// Buffered tells whether a piece is there already.
func (w *wave) Buffered() bool {
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	return len(w.queue) > 0 || w.f.first != nil || len(w.f.pieces) > 0
}

// Close is called when a session is over.
func (w *wave) Close(bool) error { return nil }

// stamper is feed.stamp of a job.
func (j *job) stamper() func(*split.Piece, string) []byte {
	s := j.stamp()
	if s == nil {
		return nil
	}
	d := format.Dialect(j.spec.Format)
	return func(p *split.Piece, object string) []byte { return copy.Stamped(nil, s, p, object, d) }
}

// stamp is what is put before rows; nil when nothing is.
func (j *job) stamp() *loadspec.Stamp {
	return loadspec.NewStamp(j.spec.Stamps(j.columns), j.spec.Format)
}

// complete ends an object's last row, so that it does not run into the first
// one of the object that the same segment gets next.
func (f *feed) complete(p *split.Piece) []byte {
	if !p.Last || len(p.Data) == 0 {
		return p.Data
	}
	end := f.newRow
	if end == "" {
		end = map[split.Newline]string{split.CR: "\r", split.CRLF: "\r\n"}[p.Newline]
	}
	if end == "" {
		end = "\n"
	}
	if bytes.HasSuffix(p.Data, []byte(end)) {
		return p.Data
	}
	p.Data = append(p.Data, end...)
	return p.Data
}
