package commands

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"
)

func progressModes() []string { return []string{"auto", "tty", "plain", "json", "off"} }

// progress shows what is going on, on standard error. In mode tty the last
// line is a status that is redrawn; in mode plain every state change is a
// line and the status is repeated every ten seconds; in mode json both are
// JSON lines. It is safe for concurrent use.
type progress struct {
	mu      sync.Mutex
	w       io.Writer
	mode    string
	width   func() int
	now     func() time.Time
	status  string
	statusV any
	shown   bool
	last    time.Time
}

const (
	ttyInterval   = 100 * time.Millisecond
	plainInterval = 10 * time.Second
	jsonInterval  = time.Second
)

// newProgress chooses the mode: --progress, else a terminal gets tty.
func (a *App) newProgress() *progress {
	mode := a.flags.progress
	if mode == "auto" {
		mode = "plain"
		if a.IO.ErrTTY && a.Getenv("TERM") != "dumb" {
			mode = "tty"
		}
	}
	if a.flags.quiet {
		mode = "off"
	}
	return &progress{w: a.IO.Err, mode: mode, width: a.IO.Width, now: a.Now, last: a.Now()}
}

// Event reports a state change: text for people, v for -- progress json.
func (p *progress) Event(text string, v any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.mode {
	case "tty":
		p.clear()
		_, _ = fmt.Fprintln(p.w, text)
		p.draw()
	case "plain":
		_, _ = fmt.Fprintln(p.w, text)
	case "json":
		p.line(v)
	}
}

// Status replaces the status line. It may be called as often as one likes.
func (p *progress) Status(text string, v any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.statusV = text, v
	now := p.now()
	switch {
	case p.mode == "tty" && now.Sub(p.last) >= ttyInterval:
		p.clear()
		p.draw()
	case p.mode == "plain" && now.Sub(p.last) >= plainInterval:
		_, _ = fmt.Fprintln(p.w, text)
	case p.mode == "json" && now.Sub(p.last) >= jsonInterval:
		p.line(v)
	default:
		return
	}
	p.last = now
}

// Close removes the status line; the result follows on standard output.
func (p *progress) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode == "tty" {
		p.clear()
	}
	p.status = ""
}

func (p *progress) clear() {
	if p.shown {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
		p.shown = false
	}
}

func (p *progress) draw() {
	if p.status == "" {
		return
	}
	text := p.status
	if w := p.width(); w > 1 && utf8.RuneCountInString(text) > w-1 {
		text = string([]rune(text)[:w-1])
	}
	_, _ = io.WriteString(p.w, text)
	p.shown = true
}

func (p *progress) line(v any) {
	if v == nil {
		return
	}
	if data, err := json.Marshal(v); err == nil {
		_, _ = fmt.Fprintf(p.w, "%s\n", data)
	}
}
