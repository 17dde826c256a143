package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"

	"cw/fault"
)

// written is what testdata/rows.csv.* hold, each in two streams: made with
// gzip 1.12, zstd 1.5, bzip2 1.0.8, xz 5.4 (the second with blocks of 16 kB and
// SHA-256) and lz4 1.9 (the second with linked blocks and its size).
const written = "8ed369874cdaaf34e4273543a8a890683bf966f7d5a43e45d12e00df310205f2"

func snappy(t testing.TB, parts ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		w := s2.NewWriter(&b, s2.WriterSnappyCompat())
		_, _ = w.Write(p)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// compressed are objects of every codec, in two streams.
func compressed(t testing.TB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, suffix := range []string{"gz", "zst", "bz2", "xz", "lz4"} {
		b, err := os.ReadFile(filepath.Join("testdata", "rows.csv."+suffix))
		if err != nil {
			t.Fatal(err)
		}
		all[suffix] = b
	}
	s := files("testdata/rows.csv.gz")
	plain, err := readAll(t.Context(), s, one(t, s), "gzip", 0)
	if err != nil {
		t.Fatal(err)
	}
	all["sz"] = snappy(t, plain[:50_000], plain[50_000:])
	return all
}

func TestOtherProgramsObjects(t *testing.T) {
	t.Parallel()
	codec := map[string]string{"gz": "gzip", "zst": "zstd", "bz2": "bzip2", "xz": "xz", "lz4": "lz4", "sz": "snappy"}
	for suffix, data := range compressed(t) {
		skippable := append([]byte("\x53\x2a\x4d\x18\x03\x00\x00\x00abc"), data...)
		for name, content := range map[string][]byte{"x.csv." + suffix: data, "unnamed": data, "skip." + suffix: skippable} {
			if strings.HasPrefix(name, "skip") && suffix != "zst" && suffix != "lz4" {
				continue
			}
			for _, said := range []string{"auto", codec[suffix]} {
				s := files(write(t, filepath.Join(t.TempDir(), name), content))
				got, err := readAll(t.Context(), s, one(t, s), said, 0)
				sum := sha256.Sum256(got)
				if err != nil || hex.EncodeToString(sum[:]) != written {
					t.Errorf("%s as %s: %d bytes, %v", name, said, len(got), err)
				}
				rest, err := readAll(t.Context(), s, one(t, s), said, 77_777)
				if err != nil || len(got) < 77_777 || !bytes.Equal(rest, got[77_777:]) {
					t.Errorf("%s as %s from the middle: %d bytes, %v", name, said, len(rest), err)
				}
			}
		}
	}
}

// TestCutAnywhere cuts objects of two streams: an error unless between them.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	s := files("testdata/rows.csv.gz")
	plain, err := readAll(t.Context(), s, one(t, s), "gzip", 0)
	if err != nil {
		t.Fatal(err)
	}
	for suffix, data := range compressed(t) {
		step := 1 + len(data)/150
		whole := 0
		for n := 12; n < len(data); n += step {
			name := write(t, filepath.Join(t.TempDir(), "x."+suffix), data[:n])
			s := files(name)
			got, err := readAll(t.Context(), s, one(t, s), "auto", 0)
			var cut *TruncatedError
			switch {
			case err == nil:
				whole++
				if !bytes.HasPrefix(plain, got) {
					t.Errorf("%s cut at %d: other bytes", suffix, n)
				}
			case !errors.As(err, &cut):
				t.Errorf("%s cut at %d of %d: %v", suffix, n, len(data), err)
			case cut.Offset != int64(n) || fault.HintOf(err) == "":
				t.Errorf("%s cut at %d: %v", suffix, n, err)
			}
		}
		if whole > 1 && suffix != "sz" { // snappy frames are chunks that end anywhere
			t.Errorf("%s: %d cuts were not noticed", suffix, whole)
		}
	}
}

// TestDamageIsNeverRows changes single bytes: an error, or bytes that mean
// nothing.
func TestDamageIsNeverRows(t *testing.T) {
	t.Parallel()
	for suffix, data := range compressed(t) {
		step := 1 + len(data)/60
		for n := 12; n < len(data); n += step {
			bad := slices.Clone(data)
			bad[n] ^= 0x10
			s := files(write(t, filepath.Join(t.TempDir(), "x."+suffix), bad))
			got, err := readAll(context.WithoutCancel(t.Context()), s, one(t, s), "auto", 0)
			sum := sha256.Sum256(got)
			if err == nil && hex.EncodeToString(sum[:]) != written {
				t.Errorf("%s: byte %d changed, and other rows came out", suffix, n)
			}
			if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("x.%s: ", suffix)) {
				t.Errorf("%s: error without the object: %v", suffix, err)
			}
		}
	}
}

func TestRefusedCompression(t *testing.T) {
	t.Parallel()
	legacy, err := os.ReadFile("testdata/legacy.lz4") // lz4 -l
	if err != nil {
		t.Fatal(err)
	}
	huge := slices.Clone(compressed(t)["xz"])
	huge[12+4] = 40 // the filter's dictionary: 4 GiB; the header's checksum comes later
	for _, c := range []struct {
		name, said string
		data       []byte
		want       string
	}{
		{"legacy.lz4", "auto", legacy, "legacy format"},
		{"legacy", "lz4", legacy, "legacy format"},
		{"huge.xz", "auto", huge, "MiB of memory"},
		{"plain.xz", "auto", []byte("1,a\n"), "does not begin as xz"},
		{"plain.bz2", "auto", []byte("BZh1,not compressed\n"), "does not begin as bzip2"},
		{"x", "snappy", []byte("1\n"), "does not begin as snappy"},
	} {
		s := files(write(t, filepath.Join(t.TempDir(), c.name), c.data))
		_, err := readAll(t.Context(), s, one(t, s), c.said, 0)
		if err == nil || !strings.Contains(err.Error(), c.want) || fault.HintOf(err) == "" {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	// A text that begins like bzip2 is a text.
	s := files(write(t, filepath.Join(t.TempDir(), "x.csv"), []byte("BZh1,row\n")))
	if got, err := readAll(t.Context(), s, one(t, s), "auto", 0); err != nil || string(got) != "BZh1,row\n" {
		t.Errorf("%q, %v", got, err)
	}
}
