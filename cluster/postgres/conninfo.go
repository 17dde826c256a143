package postgres

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// conninfo is a libpq connection string as pairs of keyword and value, in
// their order.
type conninfo [][2]string

// parseConninfo reads both forms that libpq takes: keyword = value pairs and
// postgresql:// addresses.
func parseConninfo(s string) (conninfo, error) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://") {
		return parseConnURL(s)
	}
	var out conninfo
	for s != "" {
		key, rest, ok := strings.Cut(s, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" || strings.ContainsAny(key, " \t\n'\\") {
			return nil, fmt.Errorf("connection string: %d bytes before its end there is no keyword = value", len(s))
		}
		value, rest, ok := connWord(strings.TrimLeft(rest, " \t\r\n"))
		if !ok {
			return nil, fmt.Errorf("connection string: the value of %s does not end", key)
		}
		out = append(out, [2]string{key, value})
		s = strings.TrimLeft(rest, " \t\r\n")
	}
	return out, nil
}

// connWord takes one value off the front; a backslash takes the next byte as
// it is.
func connWord(s string) (value, rest string, ok bool) {
	var b strings.Builder
	quoted := strings.HasPrefix(s, "'")
	if quoted {
		s = s[1:]
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '\'' && quoted:
			return b.String(), s[i+1:], true
		case !quoted && strings.IndexByte(" \t\r\n", c) >= 0:
			return b.String(), s[i:], true
		case c != '\\':
			b.WriteByte(c)
		}
	}
	return b.String(), "", !quoted
}

func parseConnURL(s string) (conninfo, error) {
	u, err := url.Parse(s)
	if err != nil { // its text would hold the password
		return nil, fmt.Errorf("connection string: not a readable address")
	}
	var out conninfo
	add := func(key, value string) {
		if value != "" {
			out = append(out, [2]string{key, value})
		}
	}
	add("user", u.User.Username())
	if pw, ok := u.User.Password(); ok {
		add("password", pw)
	}
	add("host", u.Hostname())
	add("port", u.Port())
	add("dbname", strings.TrimPrefix(u.Path, "/"))
	for key, values := range u.Query() {
		add(key, values[len(values)-1])
	}
	slices.SortStableFunc(out, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return out, nil
}

// get is the last value of a keyword, as libpq takes it.
func (c conninfo) get(key string) string {
	value := ""
	for _, p := range c {
		if p[0] == key {
			value = p[1]
		}
	}
	return value
}

// with gives a keyword a value; "" takes it out.
func (c conninfo) with(key, value string) conninfo {
	out := slices.DeleteFunc(slices.Clone(c), func(p [2]string) bool { return p[0] == key })
	if value != "" {
		out = append(out, [2]string{key, value})
	}
	return out
}

func (c conninfo) String() string {
	words := make([]string, len(c))
	for i, p := range c {
		words[i] = p[0] + "=" + connValue(p[1])
	}
	return strings.Join(words, " ")
}

// redactConninfo hides the password of a connection string.
func redactConninfo(s string) string {
	c, err := parseConninfo(s)
	if err != nil {
		return "(not readable)"
	}
	if c.get("password") == "" {
		return s
	}
	return c.with("password", "***").String()
}
