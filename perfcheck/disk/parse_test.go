package disk

import (
	"slices"
	"strings"
	"testing"

	"cw/perfcheck"
)

const mountinfo = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
23 22 0:21 / /proc rw - proc proc rw
30 22 254:16 / /data rw,noatime shared:1 master:2 - xfs /dev/vdb rw,attr2
31 30 254:17 / /data/with\040space ro,relatime - ext4 /dev/vdc1 rw
32 22 0:40 /sub /mnt rw - btrfs /dev/vdd rw,subvol=/sub
33 22 0:41 / /mnt rw - tmpfs tmpfs rw
34 22 254:18 / /frozen rw - ext4 /dev/vde ro
`

func TestMounts(t *testing.T) {
	t.Parallel()
	mounts, err := parseMounts(strings.NewReader(mountinfo))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, point, fs string
		ro              bool
	}{
		{"/", "/", "ext4", false},
		{"/database", "/", "ext4", false}, // not below /data
		{"/data", "/data", "xfs", false},
		{"/data/x/y", "/data", "xfs", false},
		{"/data/with space/x", "/data/with space", "ext4", true},
		{"/mnt/x", "/mnt", "tmpfs", false}, // the later of two
		{"/frozen", "/frozen", "ext4", true},
	} {
		m, ok := mountOf(mounts, c.path)
		if !ok || m.Point != c.point || m.Filesystem != c.fs || m.readOnly() != c.ro {
			t.Errorf("%s: %+v", c.path, m)
		}
	}
	for _, bad := range []string{"x\n", "1 2 3 - ext4 /dev/vda\n", "1 2 3:4 / / rw ext4 /dev/vda rw\n"} {
		if _, err := parseMounts(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzMounts(f *testing.F) {
	f.Add(mountinfo, "/data/x")
	f.Add("1 2 3:4 / \\04 rw - x y\n", "/")
	f.Fuzz(func(t *testing.T, text, path string) {
		mounts, err := parseMounts(strings.NewReader(text))
		if err != nil {
			return
		}
		if m, ok := mountOf(mounts, path); ok && !below(path, m.Point) {
			t.Errorf("%q is not below %q", path, m.Point)
		}
	})
}

func TestAttached(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, bus, want string }{
		{"vdb", "pci0000:00/0000:00:02.0/virtio1", "virtio"},
		{"sda", "pci0000:00/0000:00:05.0/virtio2/host0/target0:0:0/0:0:0:0", "virtio"},
		{"sda", "pci0000:00/0000:00:1f.2/ata1/host0", "ata"},
		{"sdb", "pci0000:00/0000:00:14.0/usb2/2-1", "usb"},
		{"sdc", "platform/host9/session1", "scsi"},
		{"nvme0n1", "pci0000:00/0000:00:06.0/nvme/nvme0", "nvme"},
		{"loop7", "", "loop"},
		{"zram0", "", "zram"},
		{"dm-0", "", "dm"},
		{"xvda", "", "xen"},
		{"rbd0", "", "other"},
	} {
		if got := attached(c.name, c.bus); got != c.want {
			t.Errorf("%s on %q is %s, not %s", c.name, c.bus, got, c.want)
		}
	}
	if active("none [mq-deadline] kyber") != "mq-deadline" || active("none") != "none" {
		t.Error("scheduler")
	}
}

const fioOutput = `note: both iodepth >= 1 and synchronous I/O engine are selected, queue depth will be capped at 1
fio: this is fio's own note
{ "fio version" : "fio-3.33", "jobs" : [
  {"jobname" : "d0", "error" : 0,
   "read" : {"io_bytes" : 8192000, "total_ios" : 1000, "runtime" : 2000, "lat_ns" : {"N":3}, "clat_ns" : {"N" : 3, "bins" : {"100000" : 2, "200000000" : 1}}},
   "write" : {"io_bytes" : 0, "total_ios" : 0, "runtime" : 0},
   "sync" : {"total_ios" : 0, "lat_ns" : {}}},
  {"jobname" : "d1", "error" : 0,
   "read" : {"io_bytes" : 4096000, "total_ios" : 500, "runtime" : 2000, "clat_ns" : {"N" : 1, "bins" : {"100000" : 1}}},
   "write" : {"runtime" : 0}}
]}
trailing
`

func TestParseFio(t *testing.T) {
	t.Parallel()
	r, err := parseFio([]byte(fioOutput))
	if err != nil || r.failed() {
		t.Fatal(err, r)
	}
	var m perfcheck.Measurement
	if err := r.measure(Job{Kind: RandRead, Block: 8192, Depth: 4}, 2, &m); err != nil {
		t.Fatal(err)
	}
	v := m.Values
	if v["iops"] != 750 || v["iops.0"] != 500 || v["iops.1"] != 250 || v["throughput"] != 6144000 || v["over_100ms"] != 1 || v["service_max"] < 0.199 {
		t.Errorf("%v", v)
	}
	for _, c := range []struct{ stdout, stderr, want string }{
		{"", "fio: pid=3, err=2/file:filesetup.c:174, func=open, error=No such file or directory\n", "pid=3, err=2/file:filesetup.c:174, func=open, error=No such file or directory"},
		{"", "sh: fio: broken\n", "sh: fio: broken"},
		{"fio: io_u error on file /x: Input/output error\n{}", "", "io_u error on file /x: Input/output error"},
		{`{"jobs":[{"error":5}]}`, "", "input/output error"},
		{"", "", "it printed no report"},
		{"{", "", "its report makes no sense: unexpected EOF"},
		{`{"jobs":[]}`, "", "its report has no jobs"},
	} {
		r, err := parseFio([]byte(c.stdout))
		if err == nil && !r.failed() {
			t.Errorf("%q is no error", c.stdout)
		}
		if got := fioError(r, []byte(c.stdout), []byte(c.stderr), err); got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
}

func TestFioLog(t *testing.T) {
	t.Parallel()
	sums := make([]float64, 3)
	n, err := addFioLog("1000, 100, 0, 0, 0\n1001, 50, 1, 0, 0\n1998, 10, 0, 0, 0\n4000, 1, 0, 0, 0\n", 2, sums)
	if err != nil || n != 2 || !slices.Equal(sums, []float64{300, 20, 0}) {
		t.Errorf("%v %d %v", sums, n, err)
	}
	if _, err := addFioLog("what, is, this\n", 1, sums); err == nil {
		t.Error("nonsense is taken")
	}
}

func FuzzFio(f *testing.F) {
	f.Add([]byte(fioOutput), "1000, 1, 0, 0, 0\n")
	f.Add([]byte(`{"jobs":[{"read":{"runtime":1,"clat_ns":{"bins":{"-9":3}}}}]}`), "-5, 1, 2")
	f.Fuzz(func(_ *testing.T, out []byte, log string) {
		_, _ = addFioLog(log, 1, make([]float64, 2))
		if r, err := parseFio(out); err == nil {
			var m perfcheck.Measurement
			_ = r.measure(Job{Kind: Mixed, Block: 8192}, 1, &m)
		}
	})
}
