package fdist

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// LineLog writes the log as gpfdist does:
//
//	2026-11-21 06:44:06 4711 INFO [session:request:segment:socket] text
type LineLog struct {
	w           io.Writer
	Simple      bool // gpfdist -s: warnings and what the server as a whole does
	VeryVerbose bool // gpfdist -V: what concerns single writes, too, and for debugging

	mu sync.Mutex
}

// NewLineLog writes to w, a whole line at a time.
func NewLineLog(w io.Writer) *LineLog { return &LineLog{w: w} }

// Redirect sends the lines to come elsewhere.
func (l *LineLog) Redirect(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.w = w
}

// Log is the Log of a server.
func (l *LineLog) Log(level Level, at Where, text string) {
	switch level {
	case LevelDebug:
		if !l.VeryVerbose {
			return
		}
	case LevelVerbose:
		if l.Simple || at.Write && !l.VeryVerbose {
			return
		}
	case LevelInfo:
		if l.Simple {
			return
		}
	}
	l.Print(level, at, text)
}

// Print writes a line whatever was chosen.
func (l *LineLog) Print(level Level, at Where, text string) {
	name := map[Level]string{LevelDebug: "DEBUG", LevelWarn: "WARN", LevelError: "FATAL"}[level]
	if name == "" {
		name = "INFO"
	}
	where := ""
	if at != (Where{}) {
		where = fmt.Sprintf("[%d:%d:%d:%d] ", at.Session, at.Request, at.Segment, at.Socket)
	}
	// One request, one line: what clients send must not look like others.
	text = strings.NewReplacer("\n", " ", "\r", " ").Replace(text)
	line := fmt.Sprintf("%s %d %s %s%s\n", time.Now().Format(time.DateTime), os.Getpid(), name, where, text)
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = io.WriteString(l.w, line)
}
