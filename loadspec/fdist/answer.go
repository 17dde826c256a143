package fdist

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"cw/fault"
)

// maxReason bounds a reason phrase: gpfdist's own buffer is 1 KiB, header and
// all, and segments of some versions keep no more.
const maxReason = 700

// ok begins an answer whose body ends with the connection.
func (c *conn) ok(r *Request, zstd bool) error {
	h := "HTTP/1.0 200 ok\r\nContent-type: text/plain\r\nExpires: 0\r\nX-GPFDIST-VERSION: " + c.s.o.Version +
		"\r\nX-GP-PROTO: " + strconv.Itoa(r.Proto) + "\r\n"
	if zstd {
		h += "X-GP-ZSTD: 1\r\n"
	}
	_, err := c.Write([]byte(h + "Cache-Control: no-cache\r\nConnection: close\r\n\r\n"))
	c.logf(LevelVerbose, "%s %s - OK", c.RemoteAddr(), c.target)
	return err
}

// empty answers that all is well and there is nothing to say. Without
// X-GP-PROTO and frames, segments take it for the end of the data.
func (c *conn) empty() {
	c.logf(LevelInfo, "HTTP EMPTY: %s %s - OK", c.RemoteAddr(), c.target)
	c.whole("HTTP/1.0 200 ok\r\nContent-type: text/plain\r\nContent-length: 0\r\nExpires: 0\r\nX-GPFDIST-VERSION: " +
		c.s.o.Version + "\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n")
}

// carryOn answers Expect: 100-continue.
func (c *conn) carryOn() error {
	_, err := c.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	c.logf(LevelVerbose, "%s %s - Continue", c.RemoteAddr(), c.target)
	return err
}

// fail answers with an error's status and words.
func (c *conn) fail(err error) {
	code, text := 500, reason(err)
	var status *StatusError
	if errors.As(err, &status) {
		code = status.Code
	}
	c.s.stats.Refused.Add(1)
	c.logf(LevelWarn, "HTTP ERROR: %s - %d %s", c.RemoteAddr(), code, text)
	if status != nil && status.Err != nil {
		c.logf(LevelWarn, "cause: %v", status.Err)
	}
	c.whole("HTTP/1.0 " + strconv.Itoa(code) + " " + text + "\r\nContent-length: 0\r\nExpires: 0\r\nX-GPFDIST-VERSION: " +
		c.s.o.Version + "\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n")
}

// whole writes an answer that is complete.
func (c *conn) whole(answer string) {
	_, err := c.Write([]byte(answer))
	c.ended = err == nil
}

// reason is what an error says on the status line: one line, its hint with it.
func reason(err error) string {
	var status *StatusError
	text := err.Error()
	if errors.As(err, &status) {
		text = status.Reason
	} else if hint := fault.HintOf(err); hint != "" {
		text += " (hint: " + hint + ")"
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	return clip(text, maxReason)
}

// clip cuts a text to n bytes without cutting a character in two.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}

func (c *conn) logf(level Level, format string, args ...any) {
	c.s.o.Log(level, c.where, fmt.Sprintf(format, args...))
}
