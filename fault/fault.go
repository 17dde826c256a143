// Package fault classifies errors so that one function in commands can turn
// them into exit codes, and carries the hint that tells the user what to do
// next. It is a leaf: every floor may import it, it imports nothing of cw.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what sort of failure an error is. Its exit code is decided in
// commands, nowhere else.
type Kind int

// The kinds of failure cw tells apart.
const (
	Failed      Kind = iota // anything without a better word
	Usage                   // wrong arguments, or a file that does not validate
	Partial                 // done, but some rows were rejected or some hosts failed
	Auth                    // authentication refused, or a host key that does not match
	Unreachable             // no connection, or no answer in time
	Check                   // a check or threshold is not met; nothing was changed
	Locked                  // another run holds the cluster or the job
	Degraded                // up, but not in full health
	Interrupted             // the user asked to stop
)

// Error is an error with its kind and the next command to type.
type Error struct {
	Kind Kind
	Err  error
	Hint string // one sentence or command; "" for none
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives errors.Is and errors.As the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error of a kind; hint may be empty. The format takes %w.
func New(kind Kind, hint, format string, args ...any) error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...), Hint: hint}
}

// Wrap gives err a kind and a hint; nil stays nil.
func Wrap(kind Kind, hint string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Err: err, Hint: hint}
}

// Kinder is what an error type of another package implements to say its kind.
type Kinder interface{ FaultKind() Kind }

// Hinter is what an error type of another package implements to give a hint.
type Hinter interface{ FaultHint() string }

// FaultKind makes *Error a Kinder.
func (e *Error) FaultKind() Kind { return e.Kind }

// FaultHint makes *Error a Hinter.
func (e *Error) FaultHint() string { return e.Hint }

// KindOf returns the kind of the outermost classified error in err's tree,
// Failed when there is none.
func KindOf(err error) Kind {
	var k Kinder
	if errors.As(err, &k) {
		return k.FaultKind()
	}
	return Failed
}

// HintOf returns the outermost non-empty hint in err's tree.
func HintOf(err error) string {
	for err != nil {
		if h, ok := err.(Hinter); ok && h.FaultHint() != "" {
			return h.FaultHint()
		}
		switch u := err.(type) { //nolint:errorlint // the same walk
		case interface{ Unwrap() error }:
			err = u.Unwrap()
		case interface{ Unwrap() []error }:
			for _, e := range u.Unwrap() {
				if h := HintOf(e); h != "" {
					return h
				}
			}
			return ""
		default:
			return ""
		}
	}
	return ""
}
