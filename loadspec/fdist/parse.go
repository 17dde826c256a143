package fdist

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// maxSegments is more primaries than any cluster has.
const maxSegments = 1 << 20

// maxKey is the longest session key gpfdist takes.
const maxKey = 1023

// maxDelim is the longest row delimiter: segments send at most 1 KiB a header.
const maxDelim = 512

const statusPath = "gpfdist/status"

// header is a request's header lines, names in upper case; of lines with one
// name the last counts.
type header map[string]string

func bad(text string) error { return &StatusError{Code: 400, Reason: text} }

// parseRequest reads a header as gpfdist does, apart from what it gets wrong:
// names are not case-sensitive, numbers are checked. The request may be given
// together with an error, as far as it was understood.
func parseRequest(head []byte, forceProto *int, forcePath string) (*Request, header, error) {
	lines := strings.Split(string(head), "\n")
	h, err := parseHeader(lines[1:])
	if err != nil {
		return nil, nil, err
	}
	// gpfdist takes the line apart as a command line: a backslash is gone from
	// before a character, and only two of them are one in the path.
	words := splitCommand(strings.TrimSpace(lines[0]))
	if len(words) != 3 || !strings.HasPrefix(words[2], "HTTP/1.") || words[0] != "GET" && words[0] != "POST" {
		return nil, h, bad("invalid request")
	}
	r := &Request{Method: words[0], Target: words[1], Segments: 1}
	path := unescape(words[1])
	switch {
	case strings.ContainsRune(path, '\\'):
		return r, h, bad("invalid request, escape character backslash '\\' is not allowed.")
	case strings.Contains(path, ".."):
		return r, h, bad("invalid request due to relative path")
	case strings.ContainsFunc(path, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return r, h, bad("invalid request, control character in path")
	}
	path, fragment, _ := strings.Cut(path, "#transform=")
	r.Transform = fragment
	if strings.Trim(path, "/") == statusPath {
		r.Path = statusPath
		return r, h, nil
	}
	r.Path = cleanPath(path)
	if forcePath != "" {
		r.Path = forcePath
	}
	if r.Path == "" {
		return r, h, bad("invalid request (unable to set path)")
	}
	if err := r.parseGP(h); err != nil {
		return r, h, err
	}
	if forceProto != nil {
		r.Proto = *forceProto
	}
	if len(r.key()) > maxKey {
		return r, h, bad("path too long")
	}
	return r, h, nil
}

// parseHeader reads header lines; a line that begins with a blank continues
// the one before.
func parseHeader(lines []string) (header, error) {
	h := header{}
	name := ""
	for _, line := range lines {
		text := strings.Trim(line, " \t\r")
		if text == "" {
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			if name == "" {
				return nil, bad("invalid request")
			}
			h[name] = strings.TrimLeft(h[name]+" "+text, " ")
			continue
		}
		key, value, _ := strings.Cut(text, ":")
		name = strings.ToUpper(strings.Trim(key, " \t"))
		h[name] = strings.Trim(value, " \t")
	}
	return h, nil
}

// cleanPath takes empty names and leading slashes out of a list of files.
func cleanPath(path string) string {
	var files []string
	for f := range strings.SplitSeq(path, " ") {
		if f = strings.TrimLeft(f, "/"); f != "" {
			files = append(files, f)
		}
	}
	return strings.Join(files, " ")
}

// unescape undoes %XX; what is no escape stays as it is.
func unescape(s string) string {
	if !strings.ContainsRune(s, '%') {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.WriteByte(c[0])
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// parseGP reads the X-GP headers.
func (r *Request) parseGP(h header) error {
	if err := r.parseDelim(h); err != nil {
		return err
	}
	if v, ok := h["X-GP-SEQ"]; ok {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n <= 0 {
			return bad("invalid sequence number")
		}
		r.Seq = n
	}
	_, r.Done = h["X-GP-DONE"]
	switch v, ok := h["X-GP-PROTO"]; {
	case !ok:
		return bad("invalid request (no gp-proto)")
	case v == "0":
	case v == "1":
		r.Proto = 1
	default:
		return bad("invalid request (invalid gp-proto)")
	}
	if err := r.parseSegment(h); err != nil {
		return err
	}
	if err := r.parseCSVOpt(h); err != nil {
		return err
	}
	r.XID, r.CID, r.SN = h["X-GP-XID"], h["X-GP-CID"], h["X-GP-SN"]
	given := 0
	for _, v := range []string{r.XID, r.CID, r.SN} {
		if v != "" {
			given++
		}
	}
	if given != 0 && given != 3 {
		return bad("invalid request (missing X-GP-* header)")
	}
	if v := h["X-GP-TRANSFORM"]; v != "" {
		r.Transform = v
	}
	r.Zstd = h["X-GP-ZSTD"] == "1"
	r.Database, r.User, r.Session = h["X-GP-DATABASE"], h["X-GP-USER"], h["X-GP-SESSION-ID"]
	r.CoordinatorHost = first(h["X-GP-COORDINATOR_HOST"], h["X-GP-MASTER_HOST"])
	r.CoordinatorPort = first(h["X-GP-COORDINATOR_PORT"], h["X-GP-MASTER_PORT"])
	return nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (r *Request) parseDelim(h header) error {
	delim, err := hex.DecodeString(h["X-GP-LINE-DELIM-STR"])
	if err != nil {
		return bad("invalid EOL encoding")
	}
	v, ok := h["X-GP-LINE-DELIM-LENGTH"]
	if !ok {
		return nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n > 0 && n != len(delim) || n > maxDelim {
		return bad("invalid EOL length")
	}
	if n > 0 {
		r.LineDelim = delim
	}
	return nil
}

// parseSegment reads which of how many segments asks. gpfdist believes
// whatever it is told.
func (r *Request) parseSegment(h header) error {
	count, counted := h["X-GP-SEGMENT-COUNT"]
	id, given := h["X-GP-SEGMENT-ID"]
	if given {
		n, err := strconv.Atoi(id)
		if err != nil || n < 0 || n >= maxSegments {
			return bad("invalid request (invalid X-GP-SEGMENT-ID)")
		}
		r.Segment, r.Segments = n, n+1
	}
	if counted {
		n, err := strconv.Atoi(count)
		if err != nil || n <= r.Segment || n > maxSegments {
			return bad("invalid request (invalid X-GP-SEGMENT-COUNT)")
		}
		r.Segments = n
	}
	return nil
}

// parseCSVOpt reads m1x 34q 34n0h1, or in the order of Greenplum 4 m1x34q34h1n0.
func (r *Request) parseCSVOpt(h header) error {
	opt := h["X-GP-CSVOPT"]
	if opt == "" {
		return nil
	}
	mismatch := bad("bad request, csvopt doesn't match the format")
	numbers := map[byte]int{}
	order := ""
	for rest := opt; rest != "" && len(order) < 6; {
		letter := rest[0]
		digits := strings.TrimLeft(rest[1:], " ")
		rest = strings.TrimLeft(digits, "0123456789")
		n, err := strconv.Atoi(digits[:len(digits)-len(rest)])
		if err != nil || n > 255 {
			return mismatch
		}
		numbers[letter] = n
		order += string(rune(letter))
		rest = strings.TrimLeft(rest, " ")
	}
	if order != "mxqnh" && order != "mxqhn" || numbers['n'] > int(EOLCRLF) {
		return mismatch
	}
	r.CSV, r.Header = numbers['m'] != 0, numbers['h'] != 0
	r.Escape, r.Quote, r.EOL = byte(numbers['x']), byte(numbers['q']), EOL(numbers['n'])
	return nil
}

// tid is the scan of the statement that a request belongs to, "" for a client
// of its own.
func (r *Request) tid() string {
	if r.XID == "" {
		return ""
	}
	return r.XID + "." + r.CID + "." + r.SN + "." + strconv.Itoa(r.Proto)
}

// key is the session that a request belongs to.
func (r *Request) key() string { return r.tid() + ":" + r.Path }
