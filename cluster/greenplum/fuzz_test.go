package greenplum

import (
	"testing"

	"cw/cluster"
)

// Only nodes that were asked for are seen in an answer, and a disk is never
// smaller than nothing.
func FuzzSights(f *testing.F) {
	f.Add("1 m data follower ready new rewound again\ndf 100 50\ntemplate\n")
	f.Add("df 9223372036854775807 1\n1 m data x silent x x x")
	f.Add("2 a b c d e f g\n\n")
	f.Add("node\nset a = 'x''y'\nrows [{\"name\":\"A\"}]\ndown x\n")
	f.Fuzz(func(t *testing.T, out string) {
		seen, _, err := parseSights([]cluster.Node{{ID: 1, DataDir: "/d"}}, out)
		if err != nil && seen != nil {
			t.Errorf("%q: both %v and %v", out, seen, err)
		}
		for id, s := range seen {
			if id != 1 || s.Proc == "" || s.Disk != nil && (s.Disk.Size < 0 || s.Disk.Free < 0) {
				t.Errorf("%q: node %d: %+v", out, id, s)
			}
		}
		for _, v := range parseValues(out) {
			if v.file == nil || v.rows == nil && v.err == nil {
				t.Errorf("%q: %+v", out, v)
			}
		}
	})
}
