package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"cw/perfcheck/kernel"
)

// Block is one whole disk as /sys/block describes it.
type Block struct {
	Name       string `json:"name"`     // vdb, nvme0n1
	Attached   string `json:"attached"` // virtio nvme scsi ata usb xen mmc loop zram ram dm md other
	Bus        string `json:"bus,omitempty"`
	Vendor     string `json:"vendor,omitempty"`
	Model      string `json:"model,omitempty"`
	Serial     string `json:"serial,omitempty"`
	Scheduler  string `json:"scheduler,omitempty"` // the active one
	WriteCache string `json:"write_cache,omitempty"`
	Rotational bool   `json:"rotational"` // what the kernel believes: virtio disks say yes whatever they are
	Logical    int64  `json:"logical_sector"`
	Physical   int64  `json:"physical_sector"`
	Requests   int64  `json:"queue_requests,omitempty"`
	Size       int64  `json:"size"`
	Backing    string `json:"backing_file,omitempty"` // of a loop device
}

const sysDev = "/sys/dev/block/"

// deviceOf is the block device of a filesystem as major:minor. Filesystems
// over several devices (btrfs) have a number of their own, and only the
// source of the mount leads to a device.
func deviceOf(dev uint64, source string) string {
	if unix.Major(dev) != 0 {
		return fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))
	}
	st, err := kernel.Stat(source)
	if !strings.HasPrefix(source, "/dev/") || err != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return ""
	}
	return fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
}

// blockDevices names the device and describes the whole disks below it.
func blockDevices(dev string) (string, []Block) {
	if dev == "" {
		return "", nil
	}
	dir, err := filepath.EvalSymlinks(sysDev + dev)
	if err != nil {
		return "", nil
	}
	seen := map[string]bool{}
	var out []Block
	walkDisks(dir, 0, func(disk string) {
		if name := filepath.Base(disk); !seen[name] {
			seen[name] = true
			out = append(out, describe(disk))
		}
	})
	return filepath.Base(dir), out
}

// walkDisks calls fn for each whole disk below a device of sysfs. The depth
// ends what a broken sysfs could make endless.
func walkDisks(dir string, depth int, fn func(string)) {
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		dir = filepath.Dir(dir)
	}
	slaves, _ := os.ReadDir(filepath.Join(dir, "slaves"))
	if len(slaves) == 0 || depth > 8 {
		fn(dir)
		return
	}
	for _, s := range slaves {
		if below, err := filepath.EvalSymlinks(filepath.Join(dir, "slaves", s.Name())); err == nil {
			walkDisks(below, depth+1, fn)
		}
	}
}

func describe(dir string) Block {
	b := Block{
		Name:       filepath.Base(dir),
		Vendor:     firstOf(dir, "device/vendor"),
		Model:      firstOf(dir, "device/model"),
		Serial:     firstOf(dir, "serial", "device/serial", "device/wwid", "wwid"),
		Scheduler:  active(firstOf(dir, "queue/scheduler")),
		WriteCache: firstOf(dir, "queue/write_cache"),
		Rotational: firstOf(dir, "queue/rotational") == "1",
		Logical:    numberOf(dir, "queue/logical_block_size"),
		Physical:   numberOf(dir, "queue/physical_block_size"),
		Requests:   numberOf(dir, "queue/nr_requests"),
		Size:       numberOf(dir, "size") * 512,
		Backing:    firstOf(dir, "loop/backing_file"),
	}
	if b.Serial == "" {
		b.Serial = udevSerial(firstOf(dir, "dev"))
	}
	if bus, err := filepath.EvalSymlinks(filepath.Join(dir, "device")); err == nil {
		b.Bus = strings.TrimPrefix(bus, "/sys/devices/")
	}
	if strings.HasPrefix(b.Vendor, "0x") { // virtio and nvme say numbers
		b.Vendor = ""
	}
	b.Attached = attached(b.Name, b.Bus)
	return b
}

// attached tells how a disk hangs on the machine, by its name and the path of
// its bus.
func attached(name, bus string) string {
	for _, p := range []struct{ prefix, is string }{
		{"vd", "virtio"},
		{"nvme", "nvme"},
		{"xvd", "xen"},
		{"mmcblk", "mmc"},
		{"loop", "loop"},
		{"zram", "zram"},
		{"ram", "ram"},
		{"dm-", "dm"},
		{"md", "md"},
	} {
		if strings.HasPrefix(name, p.prefix) {
			return p.is
		}
	}
	switch {
	case strings.Contains(bus, "/virtio"):
		return "virtio" // virtio-scsi
	case strings.Contains(bus, "/usb"):
		return "usb"
	case strings.Contains(bus, "/ata"):
		return "ata"
	case strings.HasPrefix(name, "sd"):
		return "scsi"
	}
	return "other"
}

func firstOf(dir string, names ...string) string {
	for _, n := range names {
		if data, err := os.ReadFile(filepath.Join(dir, n)); err == nil {
			if s := strings.TrimSpace(string(data)); s != "" {
				return s
			}
		}
	}
	return ""
}

func numberOf(dir, name string) int64 {
	n, _ := strconv.ParseInt(firstOf(dir, name), 10, 64)
	return n
}

// active is the scheduler in brackets.
func active(s string) string {
	if _, rest, ok := strings.Cut(s, "["); ok {
		s, _, _ = strings.Cut(rest, "]")
	}
	return s
}

// udevSerial is what udev found out, which needs root for many disks.
func udevSerial(dev string) string {
	data, _ := os.ReadFile("/run/udev/data/b" + dev)
	for line := range strings.Lines(string(data)) {
		if s, ok := strings.CutPrefix(strings.TrimSpace(line), "E:ID_SERIAL_SHORT="); ok {
			return s
		}
	}
	return ""
}
