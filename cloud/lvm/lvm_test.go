package lvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"cw/cloud"
	"cw/fault"
)

// report is what lvs prints of one logical volume.
func report(name, size, origin, pool, attr, percent string) string {
	return fmt.Sprintf(`{"report": [{"lv": [{"lv_name":"%s", "vg_name":"vg", "lv_size":"%s", "origin":"%s", "pool_lv":"%s", "lv_attr":"%s", "snap_percent":"%s"}]}]}`, name, size, origin, pool, attr, percent)
}

// machine answers commands as a machine with LVM would, and remembers them.
type machine struct {
	volumes map[string]string
	ran     []string
	devices string
}

func (m *machine) run(_ context.Context, argv []string, _ io.Reader) ([]byte, error) {
	line := strings.Join(argv, " ")
	m.ran = append(m.ran, line)
	switch argv[0] {
	case "cat":
		return []byte(m.devices), nil
	case "findmnt":
		return []byte("/dev/mapper/vg-data\n"), nil
	case "lvs":
		id := strings.ReplaceAll(strings.TrimPrefix(argv[len(argv)-1], "/dev/mapper/"), "vg-", "vg/")
		if r, ok := m.volumes[id]; ok {
			return []byte(r), nil
		}
		return nil, errors.New("lvs: exit status 5: Failed to find logical volume \"" + id + "\"")
	}
	return nil, nil
}

func (m *machine) did(t *testing.T, want string) {
	t.Helper()
	for _, line := range m.ran {
		if strings.Contains(line, want) {
			return
		}
	}
	t.Errorf("%q was not run: %q", want, m.ran)
}

const withMapper = "Block devices:\n252 device-mapper\n"

func TestThick(t *testing.T) {
	t.Parallel()
	m := &machine{devices: withMapper, volumes: map[string]string{
		"vg/data": report("data", "10737418240", "", "", "owi-aos---", ""),
		"vg/s1":   report("s1", "1073741824", "data", "", "swi-a-s---", "12.50"),
	}}
	d := New(m.run, Options{MountBelow: "/tmp"})
	id, err := d.VolumeAt(t.Context(), "/data")
	if err != nil || id != "vg/data" {
		t.Fatal(id, err)
	}
	made, err := d.CreateSnapshots(t.Context(), cloud.CreateOptions{Volumes: []string{id}, Name: "s1"})
	if err != nil || len(made) != 1 || made[0].ID != "vg/s1" || made[0].Volume != "vg/data" || made[0].State != cloud.Available || made[0].Size != cloud.Unknown {
		t.Fatalf("%+v %v", made, err)
	}
	m.did(t, "lvcreate -q --yes --snapshot --name s1 --size 1073741824b vg/data")
	v, err := d.RestoreSnapshot(t.Context(), "vg/s1", "r1")
	if err != nil || v.ID != "vg/s1" || v.Device != "/dev/vg/s1" {
		t.Fatalf("%+v %v", v, err)
	}
	if at, err := d.AttachVolume(t.Context(), v.ID, ""); err != nil || at.Device != "/tmp/cw-restored.vg-s1" {
		t.Fatalf("%+v %v", at, err)
	}
	for _, full := range []string{
		report("s1", "1073741824", "data", "", "swi-a-s---", "100.00"),
		report("s1", "1073741824", "data", "", "swi-I-s---", "43.00"),
	} {
		m.volumes["vg/s1"] = full
		if s, err := d.Snapshot(t.Context(), "vg/s1"); err != nil || s.State != cloud.Failed || !strings.Contains(s.Problem, "is full") {
			t.Errorf("%+v %v", s, err)
		}
	}
	if err := d.DeleteVolume(t.Context(), "vg/data"); err == nil {
		t.Error("the origin was to be deleted")
	}
	if err := d.DeleteSnapshot(t.Context(), "vg/s1"); err != nil {
		t.Error(err)
	}
	m.did(t, "lvremove -q --yes -- vg/s1")
	if err := d.DeleteSnapshot(t.Context(), "vg/none"); err != nil {
		t.Error("one that is gone:", err)
	}
	if s, err := d.Snapshot(t.Context(), "vg/none"); err != nil || s.State != cloud.Gone {
		t.Errorf("%+v %v", s, err)
	}
}

func TestThin(t *testing.T) {
	t.Parallel()
	m := &machine{devices: withMapper, volumes: map[string]string{
		"vg/data": report("data", "10737418240", "", "pool", "Vwi-aotz--", ""),
		"vg/s1":   report("s1", "10737418240", "data", "pool", "Vwi---tz-k", ""),
	}}
	d := New(m.run, Options{})
	if _, err := d.CreateSnapshots(t.Context(), cloud.CreateOptions{Volumes: []string{"vg/data"}, Name: "s1"}); err != nil {
		t.Fatal(err)
	}
	m.did(t, "lvcreate -q --yes --snapshot --name s1 vg/data")
	v, err := d.RestoreSnapshot(t.Context(), "vg/s1", "r1")
	if err != nil || v.ID != "vg/r1" {
		t.Fatalf("%+v %v", v, err)
	}
	m.did(t, "--setactivationskip n --name r1 vg/s1")
}

// TestWithout: a kernel without device-mapper is refused before anything is
// done, and so is a directory on no logical volume.
func TestWithout(t *testing.T) {
	t.Parallel()
	m := &machine{devices: "Block devices:\n254 virtblk\n"}
	d := New(m.run, Options{})
	if _, err := d.VolumeAt(t.Context(), "/data"); fault.KindOf(err) != fault.Check || !strings.Contains(err.Error(), "no device-mapper") {
		t.Error(err)
	}
	if _, err := d.CreateSnapshots(t.Context(), cloud.CreateOptions{Volumes: []string{"vg/data"}, Name: "s"}); fault.KindOf(err) != fault.Check {
		t.Error(err)
	}
	m.devices = withMapper
	if _, err := d.VolumeAt(t.Context(), "/data"); fault.KindOf(err) != fault.Check || !strings.Contains(fault.HintOf(err), "--driver") {
		t.Error(err)
	}
}

// TestReal says of this machine what is true.
func TestReal(t *testing.T) {
	t.Parallel()
	devices, err := os.ReadFile("/proc/devices")
	if err != nil {
		t.Skip(err)
	}
	if strings.Contains(string(devices), "device-mapper") {
		t.Skip("this kernel has device-mapper, and making a volume group takes a disk")
	}
	m := &machine{devices: string(devices)}
	if err := New(m.run, Options{}).Check(t.Context()); fault.KindOf(err) != fault.Check {
		t.Error(err)
	}
}

func FuzzParseVolume(f *testing.F) {
	f.Add([]byte(report("data", "10737418240", "", "pool", "Vwi-aotz--", "1.5")))
	f.Add([]byte(`{"report":[{"lv":[]}]}`))
	f.Add([]byte(`{"report":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := parseVolume(text)
		if err == nil && (v.Size <= 0 || v.Name == "" || v.Group == "") {
			t.Errorf("%+v", v)
		}
	})
}
