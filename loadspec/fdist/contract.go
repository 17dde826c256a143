package fdist

import (
	"context"
)

// Inputs opens what read sessions read. Open is called once per session, by
// its first request; an error is the answer to that request and leaves no
// session behind. A *StatusError says which HTTP status and reason phrase the
// segment gets.
type Inputs interface {
	Open(ctx context.Context, r *Request) (Blocks, error)
}

// Blocks is the cursor that all segments of a read session share. Next is
// never called by two goroutines at once; it returns io.EOF after the last
// block, and any other error ends the session: the segment that met it gets it
// as an error frame.
type Blocks interface {
	Next(ctx context.Context) (*Block, error)
	// Close gives up what is held. complete is true when every block was
	// handed out, io.EOF was returned and every segment that asked was told
	// the end.
	Close(complete bool) error
}

// Block is a run of whole rows of one file, at most the session's block size
// unless one row alone is larger and the Blocks allow it.
type Block struct {
	File    string // name for the segment's error log; at most 255 bytes are sent
	Offset  int64  // of Data in the uncompressed file
	Line    int64  // number of the first row; 0 unknown
	Data    []byte // ends in a row end
	Release func() // gives Data back once it is sent; may be nil

	region *region // instead of Data
}

// Outputs takes what write sessions write. Create is called once per session
// (one statement, one path, until all its segments are done).
type Outputs interface {
	Create(ctx context.Context, r *Request) (Output, error)
}

// Output is the sink of one write session. Append may be called for several
// segments at once, never twice at once for one; the server has taken out
// repeated sequence numbers, and data that was not accepted whole is not
// handed over.
type Output interface {
	// Append stores whole rows of one segment, all or nothing.
	Append(ctx context.Context, segment int, rows []byte) error
	// Publish makes everything that was appended visible, in whole. It is
	// called when every segment seen has said that it is done and the linger
	// time is over, before the last one is answered.
	Publish(ctx context.Context) error
	// Abort throws away what was not published.
	Abort(ctx context.Context) error
}

// StatusError is an HTTP status with the reason phrase that a segment's user
// gets to read.
type StatusError struct {
	Code   int
	Reason string
	Err    error // the cause, for the log; may be nil
}

func (e *StatusError) Error() string { return e.Reason }

// Unwrap gives the cause.
func (e *StatusError) Unwrap() error { return e.Err }
