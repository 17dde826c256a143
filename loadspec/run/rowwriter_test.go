package run

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"cw/loadspec/format"
)

func TestHive(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ key, want string }{
		{hex.EncodeToString([]byte("2026-11-21")), "day=2026-11-21/"},
		{"-", "day=__HIVE_DEFAULT_PARTITION__/"},
		{hex.EncodeToString([]byte("a/b=c%d")), "day=a%2Fb%3Dc%25d/"},
		{hex.EncodeToString([]byte("..")), "day=../"},
		{hex.EncodeToString([]byte("ü \x00\x1f")), "day=ü %00%1F/"},
	} {
		if got, err := hiveFolder([]string{"day"}, c.key); got != c.want || err != nil {
			t.Errorf("%s: %s %v", c.key, got, err)
		}
	}
	if got, err := hiveFolder([]string{"a", "b:c"}, "31.-"); got != "a=1/b%3Ac=__HIVE_DEFAULT_PARTITION__/" || err != nil {
		t.Error(got, err)
	}
	for _, key := range []string{"", "3", "31.32", "zz"} {
		if _, err := hiveFolder([]string{"a"}, key); err == nil {
			t.Errorf("%q is taken", key)
		}
	}
}

func FuzzHive(f *testing.F) {
	f.Add("a", "2026-11-21")
	f.Add("../x", "a/../b")
	f.Fuzz(func(t *testing.T, column, value string) {
		got, err := hiveFolder([]string{column}, hex.EncodeToString([]byte(value)))
		if err != nil {
			return
		}
		// One folder, which does not lead out of the store.
		if strings.Count(got, "/") != 1 || !strings.HasSuffix(got, "/") || strings.Count(got, "=") != 1 {
			t.Errorf("%q = %q: %q", column, value, got)
		}
	})
}

func TestPlainJSON(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"{\"a\":1}\n":                     "{\"a\":1}\n",
		"\x01{\"a\":\n\r1}\x01\n":         "{\"a\":  1}\n",
		"\x01{\n\"b\\n\":[\n]\n}\n\x01\n": "{ \"b\\n\":[ ] } \n",
	} {
		if got := string(plainJSON([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// FuzzTuple feeds messages of any kind: an error is right, a panic is not.
func FuzzTuple(f *testing.F) {
	head := append(bytes.Clone(copySignature), make([]byte, 8)...)
	f.Add(append(bytes.Clone(head), 0, 2, 0, 0, 0, 1, 'x', 0, 0, 0, 1, 'y'))
	f.Add(append(bytes.Clone(head), 0xff, 0xff))
	f.Add(append(bytes.Clone(head[:15]), 0xff, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, msg []byte) {
		w := &rowWriter{shape: &rowShape{prefix: "x", parquet: &format.ParquetSchema{}}}
		row, err := w.tuple(bytes.Clone(msg))
		if err != nil || row == nil {
			return
		}
		key, rest, err := w.split(bytes.Clone(row))
		if err == nil && len(key)+len(rest)+4 != len(row) {
			t.Errorf("%x: key %x, rest %x", row, key, rest)
		}
	})
}
