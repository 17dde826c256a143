package xfs

import (
	"strings"
	"testing"
)

const mapped = `Filesystem type is: 58465342
File size of ./a is b is 1048576 (256 blocks of 4096 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..      99:       1000..      1099:    100:             shared
   1:      100..     107:       5000..      5007:      8:       1100:
   2:      108..     255:       1108..      1255:    148:       5008: last,shared,eof
./a is b: 3 extents found
File size of ./probe is 8192 (2 blocks of 4096 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..       1:          7..         8:      2:             last,unwritten,eof
./probe: 1 extent found
`

func TestExtents(t *testing.T) {
	t.Parallel()
	files, err := parseExtents(mapped)
	if err != nil {
		t.Fatal(err)
	}
	if a := files["./a is b"]; len(a) != 3 || a[1] != (extent{100, 5000, 8}) {
		t.Errorf("%v", a)
	}
	if p, ok := files["./probe"]; !ok || len(p) != 0 {
		t.Errorf("what was never written is said to be: %v", p)
	}
	before := []extent{{0, 1000, 256}}
	if n := unshared(before, files["./a is b"]); n != 8 {
		t.Errorf("%d blocks are said to have changed", n)
	}
	for _, bad := range []string{
		"   0:        0..      99:       1000..      1099:    100:             shared\n",
		"File size of a is 1\n 0: x..y: 1..2: 3: f\n",
		"File size of a is 1\n 0: 1..2: 1..2: 0: f\n",
		"File size of a\n",
	} {
		if files, err := parseExtents(bad); err == nil {
			t.Errorf("%q was read as %v", bad, files)
		}
	}
}

func TestUnshared(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name        string
		before, now []extent
		want        int64
	}{
		{"the same", []extent{{0, 10, 5}, {5, 100, 5}}, []extent{{0, 10, 5}, {5, 100, 5}}, 0},
		{"cut otherwise", []extent{{0, 10, 10}}, []extent{{0, 10, 3}, {3, 13, 7}}, 0},
		{"new", nil, []extent{{0, 10, 5}}, 5},
		{"moved", []extent{{0, 10, 5}}, []extent{{0, 20, 5}}, 5},
		{"in the middle", []extent{{0, 10, 9}}, []extent{{0, 10, 3}, {3, 50, 3}, {6, 16, 3}}, 3},
		{"in any order", []extent{{5, 100, 5}, {0, 10, 5}}, []extent{{5, 100, 5}, {0, 11, 5}}, 5},
		{"longer", []extent{{0, 10, 5}}, []extent{{0, 10, 8}}, 3},
	} {
		if got := unshared(tc.before, tc.now); got != tc.want {
			t.Errorf("%s: %d, not %d", tc.name, got, tc.want)
		}
	}
}

func FuzzParseExtents(f *testing.F) {
	f.Add(mapped)
	f.Add("File size of a is 1\n 0: 1..2: 3..4: 2:\n")
	f.Fuzz(func(t *testing.T, text string) {
		files, err := parseExtents(text)
		if err != nil {
			return
		}
		for name, extents := range files {
			for _, e := range extents {
				if e.length <= 0 || e.logical < 0 || e.physical < 0 {
					t.Errorf("%s: %v", name, e)
				}
			}
			if n := unshared(extents, extents); n > 0 && !strings.Contains(text, "..") {
				t.Error(n)
			}
		}
	})
}
