package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"cw/fault"
	"cw/loadspec/format"
	"cw/loadspec/ledger"
	"cw/loadspec/split"
)

// pieceAge is how old a piece may become while it fills: with a low limit
// rows still reach the table ten times a second.
const pieceAge = 100 * time.Millisecond

// readAll sends what is left of all objects, several at a time, and closes
// the channel when nothing is left. After an error it stays open: what ended
// the readers ends those who wait, too.
func (j *job) readAll(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	todo := make(chan *object)
	g.Go(func() error {
		defer close(todo)
		for i := range j.objects {
			select {
			case todo <- &j.objects[i]:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	j.set.Readers(j.readers())
	j.free = split.NewPool(j.workers + 2)
	for range j.readers() {
		g.Go(func() error {
			for o := range todo {
				err := j.read(ctx, o)
				if err != nil && j.unreadable != nil && ctx.Err() == nil {
					j.unreadable(o, err)
					continue
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	if err == nil {
		close(j.pieces)
	}
	return err
}

// read sends what is left of an object to the workers.
func (j *job) read(ctx context.Context, o *object) error {
	var st *stream
	defer func() {
		if st != nil {
			st.Close()
		}
	}()
	at := int64(0)
	for _, gap := range o.gaps {
		if st == nil || st.codec == "none" {
			if st != nil {
				st.Close()
			}
			var err error
			st, err = j.open(ctx, o.Object, gap.Start, j.limiter)
			if err != nil {
				return err
			}
		} else if _, err := io.CopyN(io.Discard, st, gap.Start-at); err != nil {
			return err
		}
		end, err := j.readGap(ctx, o, st, gap)
		if err != nil {
			return err
		}
		at = end
	}
	return nil
}

// gapReader ends where committed rows begin again.
func gapReader(st *stream, gap ledger.Gap) io.Reader {
	if gap.End == ledger.ToEnd {
		return st
	}
	return io.LimitReader(st, gap.End-gap.Start)
}

func (j *job) cutter(st *stream, gap ledger.Gap) (*split.Cutter, error) {
	c, err := split.NewCutter(gapReader(st, gap), split.Options{
		Dialect: format.Dialect(j.spec.Format), Size: j.pieceSize(), MaxRow: j.spec.MaxRow, Every: pieceAge,
		Header: j.spec.Format.Header, BOM: format.UTF8(j.encoding), Offset: gap.Start, Line: gap.Line,
	}, j.free)
	if err != nil {
		return nil, fmt.Errorf("cut %s: %w", st.codec, err)
	}
	return c, nil
}

func (j *job) readGap(ctx context.Context, o *object, st *stream, gap ledger.Gap) (end int64, err error) {
	c, err := j.cutter(st, gap)
	if err != nil {
		return 0, err
	}
	end, before := gap.Start, st.SourceBytes()
	began := time.Now()
	defer func() { j.times.reading.Add(int64(time.Since(began))) }()
	for {
		p, err := c.Next()
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return 0, cutError(o.URL, err)
		}
		last := p.Last && gap.End == ledger.ToEnd
		if p.Last && !last && p.End != gap.End {
			return 0, fault.New(fault.Failed, "", "%s: ends at byte %d uncompressed, but rows up to byte %d are loaded", o.URL, p.End, gap.End)
		}
		end = p.End
		after := st.SourceBytes()
		r := ledger.Range{
			Object: o.URL, ETag: o.ETag, Source: o.Source, Start: p.Start, End: p.End, FirstLine: p.Line, Lines: p.Lines,
			SourceBytes: after - before, EOF: last,
		}
		if st.codec == "none" {
			r.SourceBytes = p.End - p.Start // without what is read ahead
		}
		before = after
		if p.Start == p.End && !last {
			c.Release(p) // a gap that ended on a cut
			continue
		}
		full := time.Now()
		select {
		case j.pieces <- piece{Piece: p, r: r, release: func() { c.Release(p) }}:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		j.times.sending.Add(int64(time.Since(full)))
		if j.most > 0 && end >= j.most {
			return end, nil
		}
	}
}

// cutError names the object of a record that cannot be cut.
func cutError(url string, err error) error {
	var e *split.Error
	if !errors.As(err, &e) {
		return err
	}
	hint := "raise MAX_LINE_LENGTH in the control file if the row is right"
	if errors.Is(err, split.ErrOpenQuote) || e.Quote {
		hint = "look for a missing quote in that row, and at QUOTE and ESCAPE in the control file"
	}
	return fault.New(fault.Failed, hint, "%s %w", url, err)
}
