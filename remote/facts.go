package remote

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cw/fault"
)

// factsScript prints one fact per line, KEY VALUE; the lines may come in any
// order and any number. It needs sh, coreutils and /proc, df lines are POSIX.
const factsScript = `echo "clock $(date +%s.%N)"
echo "hostname $(uname -n)"
echo "kernel $(uname -r)"
echo "arch $(uname -m)"
echo "user $(id -un)"
echo "uid $(id -u)"
echo "locale ${LANG:-C}"
for f in /etc/machine-id /var/lib/dbus/machine-id; do
  x=; [ -r $f ] && { read -r x <$f ||:; }; [ "$x" ] && echo "machine_id $x" && break
done
for f in /etc/os-release /usr/lib/os-release; do
  [ -r $f ] && (. $f; echo "os $ID"; echo "os_version $VERSION_ID"; echo "os_name $PRETTY_NAME") && break
done
echo "cpus $(nproc 2>/dev/null || grep -c '^processor' /proc/cpuinfo)"
while read -r k v u; do
  case $k in MemTotal: | MemAvailable: | SwapTotal:) echo "mem ${k%:} $v $u" ;; esac
done </proc/meminfo
df -PTk 2>/dev/null | while read -r l; do echo "df $l"; done
for d in /sys/class/net/*; do
  [ -r "$d/mtu" ] && read -r m <"$d/mtu" && echo "nic ${d##*/} $m"
done
ip -o addr show 2>/dev/null | while read -r n dev fam addr rest; do echo "addr $dev $fam $addr"; done
echo end
`

// Facts asks the host about itself, once per Host; it fails with a
// *WrongHostError when Target.MachineID is set and differs.
func (h *Host) Facts(ctx context.Context) (Facts, error) {
	h.mu.Lock()
	known := h.facts
	h.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	if err := h.Connect(ctx); err != nil { // or the clock skew would be measured over the log-in
		return Facts{}, err
	}
	sent := time.Now()
	r, err := h.Run(ctx, Cmd{Args: []string{"/bin/sh", "-c", factsScript, "cw-facts"}})
	took := time.Since(sent)
	if err != nil {
		return Facts{}, fmt.Errorf("ask for the facts: %w", err)
	}
	f, err := parseFacts(string(r.Stdout))
	if err != nil {
		return Facts{}, fault.New(fault.Failed, "", "%s: read the facts: %w", h.t.Name, err)
	}
	f.ClockSkew = f.Clock.Sub(sent.Add(took / 2)).Round(time.Millisecond)
	if want := h.t.MachineID; want != "" && f.MachineID != want {
		l, err := h.link()
		if err != nil {
			return Facts{}, err
		}
		return Facts{}, &WrongHostError{Host: h.t.Name, Addr: l.e.addr(), Want: want, Got: f.MachineID, Hostname: f.Hostname}
	}
	h.mu.Lock()
	h.facts = &f
	h.mu.Unlock()
	return f, nil
}

// factsParser reads the lines of factsScript.
type factsParser struct {
	f    Facts
	seen map[string]bool
	end  bool
}

func parseFacts(text string) (Facts, error) {
	p := factsParser{seen: map[string]bool{}}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		key, value, _ := strings.Cut(line, " ")
		if err := p.line(key, strings.TrimSpace(value)); err != nil {
			return Facts{}, fmt.Errorf("line %q: %w", line, err)
		}
	}
	if !p.end {
		return Facts{}, fmt.Errorf("the answer is cut off")
	}
	for _, key := range []string{"clock", "hostname", "kernel", "arch", "user", "uid", "cpus", "MemTotal"} {
		if !p.seen[key] {
			return Facts{}, fmt.Errorf("the answer has no %s", key)
		}
	}
	return p.f, nil
}

func (p *factsParser) line(key, value string) (err error) {
	f := &p.f
	p.seen[key] = true
	switch key {
	case "clock":
		f.Clock, err = parseClock(value)
	case "hostname":
		f.Hostname = value
	case "kernel":
		f.Kernel = value
	case "arch":
		f.Arch = value
	case "user":
		f.User = value
	case "uid":
		f.UID, err = strconv.Atoi(value)
	case "locale":
		f.Locale = value
	case "machine_id":
		f.MachineID = value
	case "os":
		f.OS = value
	case "os_version":
		f.OSVersion = value
	case "os_name":
		f.OSName = value
	case "cpus":
		f.CPUs, err = strconv.Atoi(value)
	case "mem":
		err = p.mem(strings.Fields(value))
	case "df":
		err = p.df(value)
	case "nic", "addr":
		err = p.nic(key, strings.Fields(value))
	case "end":
		p.end = true
	default:
		err = fmt.Errorf("unknown key")
	}
	return err
}

// parseClock reads date's seconds; a date without %N leaves an N behind.
func parseClock(s string) (time.Time, error) {
	sec, frac, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(sec, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	nano, err := strconv.ParseInt(frac, 10, 64)
	if err != nil || len(frac) != 9 {
		nano = 0
	}
	return time.Unix(n, nano).UTC(), nil
}

func (p *factsParser) mem(w []string) error {
	if len(w) != 3 || w[2] != "kB" {
		return fmt.Errorf("not NAME NUMBER kB")
	}
	n, err := strconv.ParseInt(w[1], 10, 64)
	if err != nil {
		return err
	}
	p.seen[w[0]] = true
	switch w[0] {
	case "MemTotal":
		p.f.MemTotal = n << 10
	case "MemAvailable":
		p.f.MemFree = n << 10
	case "SwapTotal":
		p.f.SwapTotal = n << 10
	}
	return nil
}

// pseudo are file systems that hold no user's data.
func pseudo(fsType string) bool {
	switch fsType {
	case "devtmpfs", "devpts", "proc", "sysfs", "cgroup", "cgroup2", "squashfs", "efivarfs", "ramfs", "tracefs", "debugfs", "securityfs", "none", "-":
		return true
	}
	return false
}

// df reads a line of df -PTk: device, type, 1K blocks, used, available,
// percent, mount point, which may hold spaces.
func (p *factsParser) df(line string) error {
	w := strings.Fields(line)
	if len(w) < 7 || w[0] == "Filesystem" {
		return nil // the heading, or a device name broken over two lines
	}
	size, err := strconv.ParseInt(w[2], 10, 64)
	if err != nil || pseudo(w[1]) {
		return nil //nolint:nilerr // "-" for file systems without a size
	}
	free, err := strconv.ParseInt(w[4], 10, 64)
	if err != nil {
		return err
	}
	p.f.Disks = append(p.f.Disks, Disk{
		Device: w[0], FSType: w[1], Size: size << 10, Free: free << 10, Mount: strings.Join(w[6:], " "),
	})
	return nil
}

func (p *factsParser) nic(key string, w []string) error {
	if key == "nic" {
		if len(w) != 2 {
			return fmt.Errorf("not NAME MTU")
		}
		mtu, err := strconv.Atoi(w[1])
		p.f.NICs = append(p.f.NICs, NIC{Name: w[0], MTU: mtu})
		return err
	}
	if len(w) < 3 || w[1] != "inet" && w[1] != "inet6" {
		return nil // link-layer addresses and peers
	}
	for i := range p.f.NICs {
		if p.f.NICs[i].Name == w[0] {
			p.f.NICs[i].Addrs = append(p.f.NICs[i].Addrs, w[2])
		}
	}
	return nil
}
