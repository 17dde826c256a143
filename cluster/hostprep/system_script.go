package hostprep

import (
	"path"
	"strings"

	"cw/cluster"
	"cw/remote"
)

// systemFiles prints the settings of kernel and block devices. What a kernel
// does not have, or a container does not show, is not in the answer. A path
// below /sys/dev/block is the device itself; the queue of a partition is its
// disk's, one folder up.
const systemFiles = `echo @thp
grep -s '' /sys/kernel/mm/transparent_hugepage/enabled /sys/kernel/mm/transparent_hugepage/defrag
echo @block
grep -s '' /sys/dev/block/*/uevent /sys/dev/block/*/queue/scheduler /sys/dev/block/*/queue/rotational /sys/dev/block/*/queue/read_ahead_kb
grep -s '' /sys/dev/block/*/../queue/scheduler /sys/dev/block/*/../queue/rotational /sys/dev/block/*/../queue/read_ahead_kb
echo @slaves
ls -d /sys/dev/block/*/slaves/* 2>/dev/null
echo @mounts
cat /proc/self/mountinfo
echo @pages
getconf _PHYS_PAGES; getconf PAGE_SIZE
echo @libc
getconf GNU_LIBC_VERSION 2>/dev/null
echo @links
grep -s '' /sys/class/net/*/speed 2>/dev/null
echo @caps
grep -s CapBnd /proc/self/status
`

// systemServices prints what is said by services rather than by the kernel.
// timedatectl waits for D-Bus, which a broken host does not answer.
const systemServices = `echo @selinux
cat /sys/fs/selinux/enforce 2>/dev/null
echo @zone
date +%Z%z
readlink /etc/localtime
echo @virt
if [ -e /.dockerenv ] || [ -e /run/.containerenv ]; then echo container
elif grep -qw hypervisor /proc/cpuinfo; then echo vm; fi
echo @services
if [ -d /run/systemd/system ]; then
  echo systemd
  for s in firewalld ufw nftables iptables; do
    timeout 5 systemctl is-active --quiet $s 2>/dev/null && echo "active $s"
  done
fi
grep -s '^ENABLED=yes' /etc/ufw/ufw.conf
for s in systemd-tmpfiles udevadm sshd; do
  for d in /usr/bin /bin /usr/sbin /sbin; do
    [ -x "$d/$s" ] && echo "has $s" && break
  done
done
[ -d /etc/security ] && echo "has pam_limits"
echo @clock
if [ -d /run/systemd/system ] && command -v timedatectl >/dev/null; then
  timeout 5 timedatectl show -p NTPSynchronized -p NTP 2>/dev/null
elif command -v chronyc >/dev/null; then
  timeout 5 chronyc -n tracking 2>/dev/null | grep '^Leap'
fi
`

// rootScript prints what only root can find out: whether root may raise limits,
// which in containers depends on more than capabilities, what is read-only even
// for root, and what sshd will do.
func rootScript() string {
	files := []string{hugePagesDir + "enabled", hugePagesDir + "defrag"}
	for _, k := range kernelKeys() {
		files = append(files, "/proc/sys/"+procPath(k))
	}
	return `echo @raise
(ulimit -n 524288) 2>/dev/null && echo yes || echo no
echo @readonly
for f in ` + remote.Quote(files) + `; do [ ! -e "$f" ] || [ -w "$f" ] || echo "$f"; done
` + sshdScript
}

const sshdScript = `echo @sshd
PATH=$PATH:/usr/sbin:/sbin
sshd -T 2>/dev/null | grep -E '^(maxstartups|maxsessions|usedns) '
echo @sshdend
`

// ownFilesScript prints the files that cw made here before.
func ownFilesScript(t *cluster.Topology) string {
	var files []string
	for _, g := range groups {
		files = append(files, g.file(t.Name))
	}
	return "echo @own\nfor f in " + remote.Quote(files) + `; do
  [ -f "$f" ] && echo "file $f" && sed 's/^/ /' "$f" 2>/dev/null && echo # the last line may have no end
done
`
}

// systemScript is the part about the operating system that anybody may ask. The
// shell's read is of no use for /proc/sys: it reads byte by byte, and such a
// file ends after the first read.
func systemScript(t *cluster.Topology) string {
	var keys []string
	for _, k := range kernelKeys() {
		keys = append(keys, procPath(k))
	}
	return systemFiles + laterScript(t) + systemServices + `if [ "$(id -u)" = 0 ]; then
` + rootScript() + "fi\n" + ownFilesScript(t) + "echo @kernel\n(cd /proc/sys && grep -s '' " + strings.Join(keys, " ") + `)
while read -r k v u; do
  case $k in CommitLimit:|Committed_AS:) echo "$k$v";; esac
done </proc/meminfo
`
}

// laterScript prints settings in files that are read after cw's at boot
// (sysctl.d(5): by name, whatever the folder; procps reads sysctl.conf last).
func laterScript(t *cluster.Topology) string {
	own := path.Base(groups[0].file(t.Name))
	return "echo @later\nfor f in /usr/lib/sysctl.d/*.conf /run/sysctl.d/*.conf /etc/sysctl.d/*.conf /etc/sysctl.conf; do\n  n=${f##*/}\n" +
		"  [ \"$f\" = /etc/sysctl.conf ] || [ \"$(printf '%s\\n%s\\n' \"$n\" " + own + " | LC_ALL=C sort | tail -n 1)\" = \"$n\" ] || continue\n" +
		"  [ \"$n\" = " + own + " ] || grep -sHE '^[[:space:]]*-?(vm|kernel|net)[./]' \"$f\"\ndone\n"
}

// procPath is the file below /proc/sys of a setting.
func procPath(key string) string { return strings.ReplaceAll(key, ".", "/") }
