package schema

import (
	"fmt"
	"sort"
	"strings"

	"cw/fault"
)

// Problem is one thing wrong with a file, at a place.
type Problem struct {
	File      string `json:"file"`
	Line, Col int    // 1-based; 0 when the whole file is meant
	Path      string `json:"path,omitempty"` // the key, as gpload.input.format
	Message   string `json:"message"`
}

func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Col, p.Message)
}

// Problems is an error that lists everything wrong with a file at once.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// FaultKind says that a file that does not validate is a usage error.
func (ps Problems) FaultKind() fault.Kind { return fault.Usage }

// Err returns ps as an error in file order, or nil when there is none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	sort.SliceStable(ps, func(i, j int) bool {
		if ps[i].Line != ps[j].Line {
			return ps[i].Line < ps[j].Line
		}
		return ps[i].Col < ps[j].Col
	})
	return ps
}
