package run

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/format"
	"cw/loadspec/source"
	"cw/loadspec/throttle"
)

// stream is an object's rows, in order.
type stream struct {
	io.Reader
	codec  string // "none": the rows are the object's bytes, and any of them can be begun at
	source func() int64
	close  func()
}

// SourceBytes is how many stored bytes have been read.
func (s *stream) SourceBytes() int64 { return s.source() }

// Close ends the stream.
func (s *stream) Close() { s.close() }

// open gives an object's rows from an offset on. Where they are made by a
// codec or a converter that means making all before it again.
func (j *job) open(ctx context.Context, o source.Object, offset int64, l *throttle.Limiter) (*stream, error) {
	if j.spec.Convert == nil {
		st, err := j.set.Stream(ctx, o, j.spec.Format.Compression, offset, l)
		if err != nil {
			return nil, err
		}
		return &stream{Reader: st, codec: st.Codec, source: st.SourceBytes, close: st.Close}, nil
	}
	st, err := j.converted(ctx, o, l)
	if err != nil || offset == 0 {
		return st, err
	}
	if n, err := io.CopyN(io.Discard, st, offset); err != nil {
		st.Close()
		if errors.Is(err, io.EOF) {
			return nil, fault.New(fault.Failed, "", "%s: its rows end at byte %d, but rows up to byte %d are loaded", o.URL, n, offset)
		}
		return nil, err
	}
	return st, nil
}

// converted opens an object through its converter.
func (j *job) converted(ctx context.Context, o source.Object, l *throttle.Limiter) (*stream, error) {
	in := format.Input{URL: o.URL, Convert: *j.spec.Convert, Columns: j.columns, MaxRow: j.spec.MaxRow, Tolerant: j.spec.Tolerates()}
	if in.Convert.Kind == loadspec.FormatParquet {
		return j.parquet(ctx, in, o, l)
	}
	st, err := j.set.Stream(ctx, o, j.spec.Format.Compression, 0, l)
	if err != nil {
		return nil, err
	}
	rows, err := format.Rows(in, st)
	if err != nil {
		st.Close()
		return nil, err
	}
	codec := in.Convert.Kind
	if st.Codec != "none" {
		codec += ", " + st.Codec
	}
	return &stream{Reader: rows, codec: codec, source: st.SourceBytes, close: st.Close}, nil
}

// parquet opens a Parquet file, of which only the wanted columns are read. Once
// all rows are out the object counts as read to its end.
func (j *job) parquet(ctx context.Context, in format.Input, o source.Object, l *throttle.Limiter) (*stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	at := j.set.ReaderAt(ctx, o, l)
	rows, err := format.Parquet(in, at, o.Size)
	if err != nil {
		cancel()
		return nil, err
	}
	end := &atEnd{r: rows}
	read := func() int64 {
		if end.yes.Load() {
			return o.Size
		}
		return min(at.SourceBytes(), o.Size)
	}
	return &stream{Reader: end, codec: loadspec.FormatParquet, source: read, close: cancel}, nil
}

// atEnd remembers that a reader is at its end.
type atEnd struct {
	r   io.Reader
	yes atomic.Bool
}

func (e *atEnd) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if errors.Is(err, io.EOF) {
		e.yes.Store(true)
	}
	return n, err
}

// tagMark is between an object's ETag and the tag of its conversion in the
// ledger's plan. No ETag looks so.
const tagMark = " as "

// tagged is the ETag that the plan keeps: offsets in the ledger mean something
// to the very same conversion only.
func (j *job) tagged(etag string) string {
	if j.spec.Convert == nil {
		return etag
	}
	return etag + tagMark + j.spec.Convert.Tag(j.columns, j.spec.MaxRow)
}

// untagged takes the object's ETag out of the plan's, if it was planned for
// the same conversion.
func (j *job) untagged(url, planned string) (string, error) {
	etag, tag, _ := strings.Cut(planned, tagMark)
	if j.tagged(etag) == planned {
		return etag, nil
	}
	now := "rows as they stand in the object"
	if j.spec.Convert != nil {
		now = j.spec.Convert.Tag(j.columns, j.spec.MaxRow)
	}
	return "", fault.New(fault.Failed, "resume it with the cw, the control file and the target's columns it was begun with, or remove its rows and start a new load",
		"%s: the job was begun with the conversion %s and this run has %s: what is loaded cannot be told from what is not", url, orRows(tag), now)
}

func orRows(tag string) string {
	if tag == "" {
		return "none"
	}
	return tag
}

// withColumns is the control file for another machine, which does not ask the
// database.
func (j *job) withColumns() loadspec.Spec {
	s := *j.spec
	if s.Convert != nil {
		s.Columns = j.columns
	}
	return s
}
