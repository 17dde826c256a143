package loadspec

import (
	"strconv"
	"strings"
	"testing"
)

// An unload's file is refused or understood, never half.
func FuzzParseUnload(f *testing.F) {
	f.Add([]byte("VERSION: 1.0.0.1\nGPLOAD:\n  INPUT: {TABLE: public.t}\n  OUTPUT:\n    URL: s3://b/p/\n    FORMAT: csv\n"))
	f.Add([]byte("VERSION: 1.0.0.1\nGPLOAD:\n  INPUT: {QUERY: 'select 1'}\n  OUTPUT: {URL: 'file:///x', FORMAT: parquet, COMPRESSION: zstd}\n"))
	f.Add([]byte("&a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if u, err := ParseUnload("f", data); (u == nil) == (err == nil) {
			t.Errorf("%v, %v", u, err)
		}
	})
}

// A path that is read names at least nothing empty, and written out it is the
// same path.
func FuzzParseJSONPath(f *testing.F) {
	for _, s := range []string{"$", "$.a.b", "$['a.b'][0]", "$.list[3].name", "$..a", "$[*]", "$['", "$[99999999999]", "$.a'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		steps, err := ParseJSONPath(s)
		if err != nil {
			return
		}
		text := "$"
		for _, st := range steps {
			switch {
			case st.Item:
				text += "[" + strconv.Itoa(st.Index) + "]"
			case st.Name == "":
				t.Fatalf("%q has a name that is empty", s)
			default:
				text += "['" + st.Name + "']"
			}
		}
		again, err := ParseJSONPath(text)
		if err != nil || len(again) != len(steps) {
			t.Fatalf("%q: %q: %v", s, text, err)
		}
		for i := range again {
			if again[i] != steps[i] {
				t.Errorf("%q: %+v, %+v", s, steps[i], again[i])
			}
		}
	})
}

// A delimiter is one character of ASCII, however it is written.
func FuzzParseChar(f *testing.F) {
	for _, s := range []string{"|", `\t`, `\x1c`, `\u001c`, `E'\x01'`, `E'\'`, "", `\`, "E''", "ä", `\001`, `\xffffffff`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseChar(s)
		if err == nil && (c >= 0x80 || s == "") {
			t.Errorf("%q: %q", s, c)
		}
		if len(s) == 1 && s[0] < 0x80 && s[0] != 0 && s != "\n" && s != "\r" && (err != nil || c != s[0]) {
			t.Errorf("%q: %q, %v", s, c, err)
		}
		if err != nil && strings.TrimSpace(err.Error()) == "" {
			t.Error("an error that says nothing")
		}
	})
}
