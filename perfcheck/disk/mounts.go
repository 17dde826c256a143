package disk

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
)

// mount is one line of /proc/self/mountinfo.
type mount struct {
	Dev        string // major:minor
	Root       string // of the mount within its filesystem
	Point      string
	Options    []string // of the mount
	Filesystem string
	Source     string
	Super      []string // options of the superblock
}

// readOnly says whether nothing can be written through the mount.
func (m mount) readOnly() bool {
	for _, o := range append(m.Options[:len(m.Options):len(m.Options)], m.Super...) {
		if o == "ro" {
			return true
		}
	}
	return false
}

// parseMounts reads mountinfo (proc(5)): six fields, optional ones up to a
// hyphen, then filesystem, source and options.
func parseMounts(r io.Reader) ([]mount, error) {
	var out []mount
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		left, right, ok := strings.Cut(s.Text(), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 6 || len(r) < 2 {
			return nil, fmt.Errorf("mountinfo: no sense in %q", s.Text())
		}
		m := mount{
			Dev: l[2], Root: unescape(l[3]), Point: unescape(l[4]), Options: strings.Split(l[5], ","),
			Filesystem: r[0], Source: unescape(r[1]),
		}
		if len(r) > 2 {
			m.Super = strings.Split(r[2], ",")
		}
		out = append(out, m)
	}
	return out, s.Err()
}

// mountOf finds the mount that an absolute path without symbolic links is
// seen through: the longest mount point above it, and of several on the same
// point the last.
func mountOf(mounts []mount, path string) (mount, bool) {
	var best mount
	found := false
	for _, m := range mounts {
		if below(path, m.Point) && len(m.Point) >= len(best.Point) {
			best, found = m, true
		}
	}
	return best, found
}

func below(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, filepath.Clean(dir)+"/")
}

// unescape resolves the octal escapes of mountinfo (\040 is a space).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
