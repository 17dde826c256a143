package commands

import (
	"bytes"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Streams are the three standard streams and what is known of them. Results
// go to Out, everything else to Err.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer

	InTTY, OutTTY, ErrTTY bool

	// ReadSecret reads a line from the terminal without showing it.
	ReadSecret func() (string, error)
	// Width returns the columns of the terminal on Err, 0 without one.
	Width func() int
}

// SystemStreams are the process's own streams.
func SystemStreams() *Streams {
	fd := int(os.Stdin.Fd())
	return &Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		InTTY: term.IsTerminal(fd), OutTTY: term.IsTerminal(int(os.Stdout.Fd())), ErrTTY: term.IsTerminal(int(os.Stderr.Fd())),
		ReadSecret: func() (string, error) {
			b, err := term.ReadPassword(fd)
			return string(b), err
		},
		Width: func() int {
			w, _, err := term.GetSize(int(os.Stderr.Fd()))
			if err != nil {
				return 0
			}
			return w
		},
	}
}

// TestStreams are streams for tests: no terminal, input from a string.
func TestStreams(input string) (s *Streams, out, errOut *bytes.Buffer) {
	out, errOut = &bytes.Buffer{}, &bytes.Buffer{}
	return &Streams{
		In: strings.NewReader(input), Out: out, Err: errOut,
		ReadSecret: func() (string, error) { return "", io.EOF },
		Width:      func() int { return 0 },
	}, out, errOut
}
