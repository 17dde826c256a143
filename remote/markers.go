package remote

import (
	"bytes"
	"io"
	"strconv"
	"sync"
)

// markers splits one output stream of the wrapper: what comes before the
// start marker is noise of the login shell, what follows belongs to the
// command, up to the end marker. A marker is NONCE:LETTER…\n, only sudo's
// prompt for a password has no newline.
type markers struct {
	nonce []byte
	out   io.Writer // where the command's output goes
	noise tail      // the end of what came before the start
	begun bool
	ended bool
	code  int // of the end marker

	onMark func(letter byte) // called for each marker, in order
	buf    []byte            // what may be the beginning of a marker
	err    error             // first error of out; its writes stop then
}

// promptMark follows the nonce in sudo's prompt. In the argv the percent sign
// is doubled, so that a shell that echoes its command line shows no marker.
const promptMark = ":%P"

// Write takes the next piece of the stream; it never fails.
func (m *markers) Write(p []byte) (int, error) {
	m.buf = append(m.buf, p...)
	for {
		i := bytes.Index(m.buf, m.nonce)
		if i < 0 {
			m.emit(len(m.buf) - m.partial())
			return len(p), nil
		}
		m.emit(i)
		rest := m.buf[len(m.nonce):]
		if !m.begun && bytes.HasPrefix(rest, []byte(promptMark)) {
			m.mark([]byte{'P'})
			m.buf = append(m.buf[:0], rest[len(promptMark):]...)
			continue
		}
		end := bytes.IndexByte(rest, '\n')
		if end < 0 && len(rest) < 16 && couldMark(rest) {
			return len(p), nil // the rest of the marker is still under way
		}
		if end < 0 || end > 16 || end < 2 || rest[1] == '%' || !couldMark(rest[:end]) {
			m.emit(1) // the nonce alone, as in an echo of the command line
			continue
		}
		m.mark(rest[1:end])
		m.buf = append(m.buf[:0], rest[end+1:]...)
	}
}

// couldMark is true when text after a nonce is a marker or its beginning.
func couldMark(s []byte) bool {
	return len(s) == 0 || s[0] == ':' && (len(s) == 1 || bytes.IndexByte([]byte("SEUKH%"), s[1]) >= 0)
}

// partial is the length of the longest end of buf that begins the nonce.
func (m *markers) partial() int {
	n := min(len(m.buf), len(m.nonce)-1)
	for ; n > 0; n-- {
		if bytes.HasSuffix(m.buf, m.nonce[:n]) {
			return n
		}
	}
	return 0
}

func (m *markers) mark(word []byte) {
	switch word[0] {
	case 'S':
		m.begun = true
	case 'E':
		code, err := strconv.Atoi(string(bytes.TrimSpace(word[1:])))
		if err != nil {
			code = 255
		}
		m.ended, m.code = true, code
	case 'U':
		m.ended = true
	}
	if m.onMark != nil {
		m.onMark(word[0])
	}
}

// emit hands the first n bytes of buf on.
func (m *markers) emit(n int) {
	if n <= 0 {
		return
	}
	switch {
	case !m.begun:
		_, _ = m.noise.Write(m.buf[:n])
	case !m.ended && m.err == nil:
		_, m.err = m.out.Write(m.buf[:n])
	}
	m.buf = append(m.buf[:0], m.buf[n:]...)
}

// tail keeps the last bytes written to it. It may be read while it is written.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > 2*tailSize {
		t.b = append(t.b[:0], t.b[len(t.b)-tailSize:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b[max(0, len(t.b)-tailSize):])
}
