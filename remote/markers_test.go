package remote

import (
	"bytes"
	"errors"
	"testing"
)

const testNonce = "0123456789abcdef0123456789abcdef"

func TestMarkers(t *testing.T) {
	t.Parallel()
	n := testNonce
	for _, tc := range []struct {
		name, in, out, noise, marks string
		ended                       bool
		code                        int
	}{
		{"plain", n + ":S\nhello" + n + ":E 0\n", "hello", "", "SE", true, 0},
		{"noise", "Welcome\n$ " + n + ":S\nx" + n + ":E 12\n", "x", "Welcome\n$ ", "SE", true, 12},
		{"command line shown before", "+ sh -c ... " + n + " 0 - -\n" + n + ":S\nx" + n + ":E 0\n", "x", "+ sh -c ... " + n + " 0 - -\n", "SE", true, 0},
		{"nonce in the output", n + ":S\n" + n + " and " + n + ":x\n" + n + ":E 0\n", n + " and " + n + ":x\n", "", "SE", true, 0},
		{"after the end", n + ":S\nx" + n + ":E 0\nstraggler" + n + ":K\n", "x", "", "SEK", true, 0},
		{"no end", n + ":S\nhalf", "half", "", "S", false, 0},
		{"no user", n + ":S\n" + n + ":U\n", "", "", "SU", true, 0},
		{"prompt", n + ":%P" + n + ":%P" + n + ":S\n" + n + ":E 0\n", "", "", "PPSE", true, 0},
		{"prompt as data", n + ":S\n" + n + ":%P" + n + ":E 0\n", n + ":%P", "", "SE", true, 0},
		{"still here", n + ":S\na" + n + ":H\nb" + n + ":E 0\n", "ab", "", "SHE", true, 0},
	} {
		for _, step := range []int{1, 2, 7, 31, 33, 1000} {
			var out bytes.Buffer
			marks := ""
			m := markers{nonce: []byte(n), out: &out, onMark: func(l byte) { marks += string(l) }}
			for in := []byte(tc.in); len(in) > 0; {
				k := min(step, len(in))
				_, _ = m.Write(in[:k])
				in = in[k:]
			}
			if out.String() != tc.out || m.noise.String() != tc.noise || marks != tc.marks || m.ended != tc.ended || m.code != tc.code {
				t.Errorf("%s in steps of %d: out %q noise %q marks %s ended %t code %d", tc.name, step, out.String(), m.noise.String(), marks, m.ended, m.code)
			}
		}
	}
}

func TestMarkersKeepTheWritersError(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	m := markers{nonce: []byte(testNonce), out: writerFunc(func([]byte) (int, error) { return 0, full })}
	_, _ = m.Write([]byte(testNonce + ":S\nx" + testNonce + ":E 0\n"))
	if !errors.Is(m.err, full) || !m.ended {
		t.Errorf("%v %t", m.err, m.ended)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// FuzzMarkers checks that the pieces in which a stream comes do not matter
// and that nothing of the output is lost.
func FuzzMarkers(f *testing.F) {
	f.Add([]byte("noise"), []byte("data"), 3)
	f.Add([]byte(testNonce), []byte(testNonce+":"), 1)
	f.Add([]byte(""), []byte("0123456789abcdef"), 16)
	f.Fuzz(func(t *testing.T, noise, data []byte, step int) {
		if step < 1 || bytes.Contains(data, []byte(testNonce+":E")) || bytes.Contains(noise, []byte(testNonce)) {
			t.Skip()
		}
		if bytes.Contains(data, []byte(testNonce+":")) || bytes.HasSuffix(data, []byte(testNonce)) {
			t.Skip("the command does not know the nonce")
		}
		var out bytes.Buffer
		m := markers{nonce: []byte(testNonce), out: &out}
		in := append(append(append(append([]byte{}, noise...), testNonce+":S\n"...), data...), testNonce+":E 7\n"...)
		for len(in) > 0 {
			k := min(step, len(in))
			_, _ = m.Write(in[:k])
			in = in[k:]
		}
		if !bytes.Equal(out.Bytes(), data) || m.code != 7 {
			t.Errorf("got %q, code %d", out.Bytes(), m.code)
		}
	})
}
