package gpload

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Level is how much a line matters, with gpload's numbers.
type Level int

// The levels. Standard output shows those up to the level asked for, the log
// file all up to LevelInfo and more when more is asked for.
const (
	LevelError Level = iota + 1
	LevelWarn
	LevelInfo
	LevelLog
	LevelDebug
)

func (l Level) String() string {
	switch l {
	case LevelError:
		return "ERROR"
	case LevelWarn:
		return "WARN"
	case LevelInfo:
		return "INFO"
	case LevelLog:
		return "LOG"
	default:
		return "DEBUG"
	}
}

// logger writes gpload's lines. It may be used by several goroutines.
type logger struct {
	mu   sync.Mutex
	out  io.Writer
	file io.Writer // nil: not open
	show Level
	now  func() time.Time
}

const stamp = "2006-01-02 15:04:05"

func (l *logger) logf(level Level, format string, args ...any) {
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	line := []byte(l.now().Format(stamp) + "|" + level.String() + "|" + text + "\n")
	l.mu.Lock()
	defer l.mu.Unlock()
	if level <= l.show {
		_, _ = l.out.Write(line)
	}
	if l.file != nil && (level <= l.show || level <= LevelInfo) {
		_, _ = l.file.Write(line)
	}
}

// onlyFile writes a warning to the log file that gpload's standard output
// does not have.
func (l *logger) onlyFile(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_, _ = fmt.Fprintf(l.file, "%s|%s|%s\n", l.now().Format(stamp), LevelWarn, text)
	}
}
