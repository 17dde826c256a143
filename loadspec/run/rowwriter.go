package run

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"cw/loadspec/ledger"
	"cw/loadspec/sink"
	"cw/loadspec/throttle"
)

// chunkMost is how many bytes of rows a worker passes on at a time.
const chunkMost = 256 << 10

// partWriter holds the object that rows go into; workers of a merged object
// share one.
type partWriter struct {
	mu          sync.Mutex
	parts       *sink.Parts
	shape       *rowShape
	head        []byte // of every object
	part        *sink.Part
	enc         encoder // nil for rows of text
	rows, bytes int64
}

// encoder makes a file of rows in COPY's binary format.
type encoder interface {
	Write(tuples []byte) error
	Close() error
}

// write adds whole rows to the object, which is begun in folder if there is
// none.
func (p *partWriter) write(ctx context.Context, folder string, rows int64, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return ofStore(p.add(ctx, folder, rows, data))
}

func (p *partWriter) add(ctx context.Context, folder string, rows int64, data []byte) error {
	if p.part == nil {
		part, err := p.parts.Create(ctx, folder)
		if err != nil {
			return err
		}
		p.part, p.rows, p.bytes = part, 0, int64(len(p.head))
		if p.shape.parquet != nil {
			p.enc = p.shape.parquet.NewWriter(part, p.shape.u.RowGroup)
		}
		if _, err := part.Write(p.head); err != nil {
			return err
		}
	}
	p.rows += rows
	p.bytes += int64(len(data))
	if p.enc != nil {
		return p.enc.Write(data)
	}
	_, err := p.part.Write(data)
	return err
}

// end closes the object, if there is one.
func (p *partWriter) end(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.part == nil {
		return nil
	}
	if p.enc != nil {
		if err := p.enc.Close(); err != nil {
			return ofStore(err)
		}
		p.enc = nil
	}
	part := p.part
	p.part = nil
	return ofStore(part.Close(ctx, p.rows, p.bytes))
}

// storeError is an error of writing. It may look like one of the network, but
// the store has tried again itself: no new session to the database helps.
type storeError struct{ error }

// Unwrap gives the error itself.
func (e *storeError) Unwrap() error { return e.error }

func ofStore(err error) error {
	if err == nil {
		return nil
	}
	return &storeError{err}
}

// rowWriter takes what COPY sends, a row at a time.
type rowWriter struct {
	ctx     context.Context //nolint:containedctx // io.Writer has none
	shape   *rowShape
	out     *partWriter
	limiter *throttle.Limiter
	state   *tracker
	most    int64 // bytes in an object; 0 any

	buf    []byte // whole rows
	rows   int64  // in buf
	part   int64  // bytes of rows in the object and in buf
	key    string // of the partition
	folder string
	begun  bool  // the head of COPY's binary format is over
	seen   int64 // rows of this COPY
}

// begin is called before every COPY.
func (w *rowWriter) begin() { w.begun, w.seen = false, 0 }

// Write takes one row: the protocol sends each in a message of its own.
func (w *rowWriter) Write(row []byte) (int, error) {
	n := len(row)
	var err error
	if w.shape.parquet != nil {
		if row, err = w.tuple(row); err != nil || row == nil {
			return n, err
		}
	}
	if w.shape.prefix != "" {
		var key []byte
		if key, row, err = w.split(row); err != nil {
			return 0, err
		}
		if string(key) != w.key || w.folder == "" {
			if err := w.turn(string(key)); err != nil {
				return 0, err
			}
		}
	}
	if w.shape.json {
		row = plainJSON(row)
	}
	size := int64(len(row))
	if w.shape.newline != nil {
		size += int64(len(w.shape.newline)) - 1
	}
	if w.most > 0 && w.part > 0 && w.part+size > w.most-int64(len(w.out.head)) {
		if err := w.close(); err != nil {
			return 0, err
		}
	}
	w.buf = append(w.buf, row...)
	if w.shape.newline != nil {
		w.buf = append(w.buf[:len(w.buf)-1], w.shape.newline...)
	}
	w.rows++
	w.seen++
	w.part += size
	if len(w.buf) >= min(chunkMost, w.limiter.Quantum()) {
		return n, w.flush()
	}
	return n, nil
}

// flush passes the rows on, once the budget allows it.
func (w *rowWriter) flush() error {
	if w.rows == 0 {
		return nil
	}
	if err := w.limiter.Wait(w.ctx, len(w.buf)); err != nil {
		return err
	}
	if err := w.out.write(w.ctx, w.folder, w.rows, w.buf); err != nil {
		return err
	}
	w.state.served(ledger.Range{SourceBytes: int64(len(w.buf)), Rows: w.rows})
	w.buf, w.rows = w.buf[:0], 0
	return nil
}

// close ends the object; the next row begins another.
func (w *rowWriter) close() error {
	if err := w.flush(); err != nil {
		return err
	}
	w.part = 0
	return w.out.end(w.ctx)
}

// turn goes on with another partition.
func (w *rowWriter) turn(key string) error {
	if err := w.close(); err != nil {
		return err
	}
	var err error
	w.key = key
	w.folder, err = hiveFolder(w.shape.u.PartitionBy, key)
	return err
}

// split takes the partition's key off the front of a row.
func (w *rowWriter) split(row []byte) (key, rest []byte, err error) {
	if w.shape.parquet == nil {
		key, rest, ok := bytes.Cut(row, []byte{w.shape.delimiter()})
		if !ok {
			return nil, nil, errors.New("the database sent a row without its partition")
		}
		if n := len(key); n > 1 && key[0] == w.shape.u.Format.Quote && key[n-1] == key[0] {
			key = key[1 : n-1] // NULL_AS looks like it
		}
		return key, rest, nil
	}
	// The count of fields, the length of the first, the first.
	if len(row) < 6 {
		return nil, nil, io.ErrUnexpectedEOF
	}
	n := int(binary.BigEndian.Uint32(row[2:]))
	if n < 0 || n > len(row)-6 {
		return nil, nil, io.ErrUnexpectedEOF
	}
	key = bytes.Clone(row[6 : 6+n])
	rest = row[4+n:] // two bytes before the second field
	binary.BigEndian.PutUint16(rest, binary.BigEndian.Uint16(row)-1)
	return key, rest, nil
}

var copySignature = []byte("PGCOPY\n\xff\r\n\x00") //nolint:gochecknoglobals // constant

// tuple takes a row of COPY's binary format out of a message; nil when there
// is none in it.
func (w *rowWriter) tuple(msg []byte) ([]byte, error) {
	if !w.begun {
		const fixed = 19 // signature, flags, length of the extension
		if len(msg) < fixed || !bytes.HasPrefix(msg, copySignature) {
			return nil, errors.New("the database does not begin COPY's binary format as it is known")
		}
		more := uint64(binary.BigEndian.Uint32(msg[15:]))
		if more > uint64(len(msg)-fixed) {
			return nil, io.ErrUnexpectedEOF
		}
		msg, w.begun = msg[fixed+int(more):], true //nolint:gosec // bounded above
	}
	if len(msg) == 0 || len(msg) == 2 && msg[0] == 0xff && msg[1] == 0xff {
		return nil, nil
	}
	if len(msg) < 2 {
		return nil, fmt.Errorf("a row of %d bytes in COPY's binary format", len(msg))
	}
	return msg, nil
}

// plainJSON takes off what csv put around a JSON text with line ends in it,
// and makes them blanks: inside strings there are none.
func plainJSON(row []byte) []byte {
	if len(row) < 3 || row[0] != jsonQuote {
		return row
	}
	row = row[1 : len(row)-1] // the quote before, and the line end
	row[len(row)-1] = '\n'    // where the quote was
	for i, c := range row[:len(row)-1] {
		if c == '\n' || c == '\r' {
			row[i] = ' '
		}
	}
	return row
}
