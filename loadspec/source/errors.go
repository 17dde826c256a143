package source

import (
	"fmt"
	"path"

	"cw/fault"
)

// ChangedError says that an object is no longer what was listed.
type ChangedError struct {
	URL      string
	Old, New string // ETags; New is "" when the object is gone
}

func (e *ChangedError) Error() string {
	if e.New == "" {
		return fmt.Sprintf("%s: removed during the load (ETag was %s)", e.URL, e.Old)
	}
	return fmt.Sprintf("%s: changed during the load: ETag was %s, now %s", e.URL, e.Old, e.New)
}

// FaultKind is an ordinary failure.
func (e *ChangedError) FaultKind() fault.Kind { return fault.Failed }

// FaultHint tells the two ways out.
func (e *ChangedError) FaultHint() string {
	return "rows of the old version that were committed are in the table: put the old object back and run cw load resume JOB, or remove the rows and start a new load"
}

// TruncatedError says that a compressed object ends before its end.
type TruncatedError struct {
	URL    string
	Codec  string
	Offset int64 // stored bytes read: where the data stops
	Rows   int64 // uncompressed bytes that came out before
}

func (e *TruncatedError) Error() string {
	return fmt.Sprintf("%s: %s data is truncated: it ends at byte %d in the middle of a stream (after %d bytes uncompressed)", e.URL, e.Codec, e.Offset, e.Rows)
}

// FaultKind is an ordinary failure.
func (e *TruncatedError) FaultKind() fault.Kind { return fault.Failed }

// FaultHint says how to look at the object.
func (e *TruncatedError) FaultHint() string {
	test := e.Codec + " -t "
	if e.Codec == codecSnappy {
		test = "snzip -dc " // it has no -t
	}
	return "upload it again; " + test + path.Base(e.URL) + " on the original shows whether that is whole"
}

// CorruptError says that a compressed object cannot be read on.
type CorruptError struct {
	URL    string
	Codec  string
	Offset int64
	Err    error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s: %s data is damaged near byte %d: %v", e.URL, e.Codec, e.Offset, e.Err)
}

// Unwrap gives the codec's error.
func (e *CorruptError) Unwrap() error { return e.Err }

// FaultKind is an ordinary failure.
func (e *CorruptError) FaultKind() fault.Kind { return fault.Failed }

// FaultHint offers the other reading.
func (e *CorruptError) FaultHint() string {
	return "upload the object again, or write COMPRESSION: none if it is not compressed"
}

// NoMatchError says that a location matches nothing.
type NoMatchError struct {
	Location string
	Hint     string
}

func (e *NoMatchError) Error() string { return e.Location + ": no object matches" }

// FaultKind is an ordinary failure.
func (e *NoMatchError) FaultKind() fault.Kind { return fault.Failed }

// FaultHint says what is there instead.
func (e *NoMatchError) FaultHint() string { return e.Hint }
