package hostprep

import (
	"strings"
	"testing"
)

// What a host's commands print is read without a panic, and no disk has less
// than nothing.
func FuzzHostAnswers(f *testing.F) {
	f.Add("home /usr/local/gp\npostgres (Greenplum Database) 6.27.1 build x\nCatalog version number: 301908232")
	f.Add("disk /data\n/dev/sda1 100 50 50 50% /data dir\nnear /data\nuid=1000(a) gid=1000(a)")
	f.Add("disk /d\n/dev/x 9223372036854775807 1 9223372036854775807 1% /d")
	f.Add("folder marked w /x\n {\"uid\":\"u\"}\nfolder x\n \n10.0.0.1 STREAM h\n10.0.0.1 DGRAM")
	f.Add("-1 -1")
	f.Fuzz(func(t *testing.T, out string) {
		lines := trimLines(out)
		parseHomes(lines)
		disks, _ := parseDisks(lines)
		for path, d := range disks {
			if d.Size < 0 || d.Free < 0 {
				t.Errorf("%q: %s: %+v", out, path, d)
			}
		}
		if size, free, err := ParseDF(out); err == nil && (size < 0 || free < 0) {
			t.Errorf("%q: %d, %d", out, size, free)
		}
		if uid, gid, ok := parseID(lines); ok && (uid < 0 || gid < 0) {
			t.Errorf("%q: %d, %d", out, uid, gid)
		}
		for name := range parseNames(lines, []string{"h", "h.x"}) {
			if name != "h" && name != "h.x" {
				t.Errorf("%q: nobody asked for %q", out, name)
			}
		}
		for _, d := range parseFolders(out) {
			if got := d.owned(Marker{UID: "u", Node: "n"}); got.State == DirOurs && !strings.Contains(out, `"u"`) && !strings.Contains(out, `\u`) {
				t.Errorf("%q is taken for ours", out)
			}
		}
	})
}
