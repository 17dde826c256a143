package gpload

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
)

// message words an error of the database as libpq does, with its line end:
// scripts look for that text, and people for the caret. sql is the statement.
func message(err error, sql string) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err.Error() + "\n"
	}
	return report(pg, sql)
}

func report(pg *pgconn.PgError, sql string) string {
	var b strings.Builder
	b.WriteString(pg.Severity + ":  " + pg.Message)
	switch {
	case pg.Position > 0 && sql != "":
		b.WriteByte('\n')
		b.WriteString(point(sql, int(pg.Position)))
	case pg.InternalPosition > 0 && pg.InternalQuery != "":
		b.WriteByte('\n')
		b.WriteString(point(pg.InternalQuery, int(pg.InternalPosition)))
	case pg.Position > 0:
		fmt.Fprintf(&b, " at character %d\n", pg.Position)
	default:
		b.WriteByte('\n')
	}
	for _, part := range []struct{ name, text string }{{"DETAIL", pg.Detail}, {"HINT", pg.Hint}, {"QUERY", pg.InternalQuery}, {"CONTEXT", pg.Where}} {
		if part.text != "" {
			b.WriteString(part.name + ":  " + part.text + "\n")
		}
	}
	return b.String()
}

// Widths of libpq's excerpt, in columns of the screen.
const (
	excerptWidth = 60
	excerptRight = 10 // at least so much right of the error
)

// point shows the line of the statement an error is in, cut to its
// surroundings, and a caret below the place. position counts characters from
// 1.
func point(sql string, position int) string {
	text := []rune(sql)
	at := position - 1
	if at < 0 || at > len(text) {
		return ""
	}
	begin, end, line := 0, len(text), 1
	for i, r := range text {
		if r != '\n' && r != '\r' {
			continue
		}
		if i >= at {
			end = i
			break
		}
		if r == '\n' || i+1 >= len(text) || text[i+1] != '\n' {
			line++
		}
		begin = i + 1
	}
	for i, r := range text {
		if r == '\t' {
			text[i] = ' '
		}
	}
	columns := make([]int, len(text)+1) // of the screen, before each character
	for i, r := range text {
		columns[i+1] = columns[i] + runeWidth(r)
	}
	cutLeft, cutRight := false, false
	if columns[end]-columns[begin] > excerptWidth {
		if columns[begin]+excerptWidth >= columns[at]+excerptRight {
			for columns[end]-columns[begin] > excerptWidth {
				end--
			}
			cutRight = true
		} else {
			for columns[at]+excerptRight < columns[end] {
				end--
				cutRight = true
			}
			for columns[begin]+excerptWidth < columns[end] {
				begin++
				cutLeft = true
			}
		}
	}
	head := fmt.Sprintf("LINE %d: ", line)
	if cutLeft {
		head += "..."
	}
	tail := ""
	if cutRight {
		tail = "..."
	}
	indent := len(head) + columns[at] - columns[begin]
	return head + string(text[begin:end]) + tail + "\n" + strings.Repeat(" ", indent) + "^\n"
}

// wide are the characters that take two columns, as the database counts them.
var wide = [][2]rune{ //nolint:gochecknoglobals // constant table
	{0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0xa4cf}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff5f}, {0xffe0, 0xffe6}, {0x20000, 0x2ffff},
}

func runeWidth(r rune) int {
	for _, w := range wide {
		if r >= w[0] && r <= w[1] {
			return 2
		}
	}
	return 1
}

// connectMessage words a failed connection as libpq of that time does.
func connectMessage(err error, host string, port int) string {
	var b strings.Builder
	said := map[string]bool{}
	say := func(text string) {
		if !said[text] {
			said[text] = true
			b.WriteString(text)
		}
	}
	walk(err, func(e error) {
		switch e := e.(type) { //nolint:errorlint // the tree is walked here
		case *pgconn.PgError:
			say(report(e, ""))
		case *net.DNSError:
			say(fmt.Sprintf("could not translate host name \"%s\" to address: Name or service not known\n", host))
		case *net.OpError:
			if e.Op == "dial" && e.Addr != nil {
				say(dialMessage(e, host, port))
			}
		}
	})
	if b.Len() == 0 {
		return strings.ToValidUTF8(err.Error(), "?") + "\n"
	}
	return b.String()
}

func dialMessage(e *net.OpError, host string, port int) string {
	why := e.Err.Error()
	var number syscall.Errno
	switch {
	case errors.As(e.Err, &number):
		why = capital(number.Error())
	case e.Timeout():
		why = "Connection timed out"
	}
	if strings.HasPrefix(host, "/") {
		return fmt.Sprintf("could not connect to server: %s\n\tIs the server running locally and accepting\n\tconnections on Unix domain socket \"%s/.s.PGSQL.%d\"?\n", why, host, port)
	}
	where := fmt.Sprintf("\"%s\"", host)
	if ip, _, err := net.SplitHostPort(e.Addr.String()); err == nil && ip != host {
		where += " (" + ip + ")"
	}
	return fmt.Sprintf("could not connect to server: %s\n\tIs the server running on host %s and accepting\n\tTCP/IP connections on port %d?\n", why, where, port)
}

func capital(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return strings.ToUpper(string(r)) + s[size:]
}

func walk(err error, visit func(error)) {
	if err == nil {
		return
	}
	visit(err)
	switch u := err.(type) { //nolint:errorlint // the tree is walked here
	case interface{ Unwrap() error }:
		walk(u.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			walk(e, visit)
		}
	}
}
