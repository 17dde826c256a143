package hostprep

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"cw/cluster"
	"cw/remote"
)

// The survey of a host is one or two scripts, not one for each question: a
// remote command costs about 20 ms of processor time, and a host may carry
// dozens of nodes. What they print comes in sections, each after a line that
// begins with @.

// diskScript prints once for each file system path what df says of it.
const diskScript = `disk() {
  near "$1"
  case $seen in *":$p:"*) return;; esac
  seen=$seen:$p:
  echo "disk $p"
  df -Pk "$p"
}
`

// ipcScript says whether systemd takes the shared memory of user $1 away when
// the last session of that user ends (logind.conf(5), RemoveIPC; docs of
// PostgreSQL 19.4.2). Users that linger, and system users, keep it.
const ipcScript = `[ -d /run/systemd/system ] || { echo kept; exit; }
[ -e "/var/lib/systemd/linger/$1" ] && { echo kept; exit; }
case $(cat /etc/systemd/logind.conf /etc/systemd/logind.conf.d/*.conf 2>/dev/null | sed -n 's/^RemoveIPC=//p' | tail -n 1) in
no|0|false|off) echo kept;; *) echo removed;; esac`

// semScript prints the semaphores there are.
const semScript = `echo @sems
cat /proc/sysvipc/sem 2>/dev/null
`

// hostScript is the part that anybody may ask. names are looked up.
func hostScript(t *cluster.Topology, names []string) string {
	owner := remote.Quote([]string{t.OSUser})
	var b strings.Builder
	b.WriteString(nearScript + diskScript + "seen= new=\necho @id\nid " + owner + " 2>/dev/null || new=1\n")
	b.WriteString("echo @ipc\n(set -- " + owner + "\n" + ipcScript + ")\n")
	b.WriteString("echo @locale\nlocale -a 2>&1 || echo @nolocale\n")
	// /proc instead of ss: iproute2 is not on every host.
	b.WriteString("echo @listen\ncat /proc/net/tcp; cat /proc/net/tcp6 2>/dev/null\n")
	b.WriteString("echo @disk\nfor d in " + remote.Quote(t.Layout.DataDirs) + "; do disk \"$d\"; echo \"near $p\"; done\n")
	b.WriteString(systemScript(t))
	if t.Engine.Kind != cluster.Postgres {
		b.WriteString(semScript)
		b.WriteString("echo @names\ntimeout 5 getent ahosts " + remote.Quote(names) + "\n")
		b.WriteString("if [ \"$new\" ]; then\n" + homeSection(t) + "fi\n")
	}
	return b.String() + ":\n"
}

// ownerScript is the part for the user who owns the folders.
func ownerScript(t *cluster.Topology, nodes []cluster.Node, asOwner bool) string {
	dirs := make([]string, len(nodes))
	for i, n := range nodes {
		dirs[i] = n.Dir
	}
	var b strings.Builder
	b.WriteString(nearScript + diskScript + lookScript + "echo @limits\ncat /proc/self/limits\necho @folders\n")
	b.WriteString("for d in " + remote.Quote(dirs) + "; do look \"$d\"; done\n")
	b.WriteString("echo @nodedisk\nseen=\nfor d in " + remote.Quote(dirs) + "; do disk \"$d\"; done\n")
	if t.Engine.Kind != cluster.Postgres && asOwner {
		b.WriteString(homeSection(t))
	}
	return b.String() + ":\n"
}

func homeSection(t *cluster.Topology) string {
	return "echo @homes\n(set -- " + remote.Quote([]string{t.Engine.Home}) + "\n" + homeScript + ")\n"
}

// sections splits the answer of a survey script.
func sections(out string) map[string][]string {
	found, name := map[string][]string{}, ""
	for _, line := range strings.Split(strings.TrimSuffix(out, "\n"), "\n") {
		if rest, ok := strings.CutPrefix(line, "@"); ok {
			name = rest
			found[name] = []string{}
			continue
		}
		found[name] = append(found[name], line)
	}
	return found
}

// dfLine is a line of df -Pk: device, size, used and available KiB, percent,
// mount point. The device and the mount point may hold blanks.
var dfLine = regexp.MustCompile(`\s(\d+)\s+\d+\s+(\d+)\s+\S+\s+(/.*)$`)

// parseDisks reads what diskScript prints: file systems by path, and the paths
// of "near" lines in their order.
func parseDisks(lines []string) (disks map[string]Disk, near []string) {
	disks = map[string]Disk{}
	path := ""
	for _, line := range lines {
		if p, ok := strings.CutPrefix(line, "disk "); ok {
			path = p
		} else if p, ok := strings.CutPrefix(line, "near "); ok {
			near = append(near, p)
		} else if m := dfLine.FindStringSubmatch(line); m != nil && path != "" {
			if size, free, err := ParseDF(m[1] + " " + m[2]); err == nil {
				disks[path] = Disk{Path: path, Mount: m[3], Size: size, Free: free}
			}
		}
	}
	return disks, near
}

var idLine = regexp.MustCompile(`^uid=(\d+)\S* gid=(\d+)`)

// parseID reads the answer of id; ok is false when there is no such user.
func parseID(lines []string) (uid, gid int, ok bool) {
	if len(lines) == 0 {
		return 0, 0, false
	}
	m := idLine.FindStringSubmatch(lines[0])
	if m == nil {
		return 0, 0, false
	}
	uid, err1 := strconv.Atoi(m[1])
	gid, err2 := strconv.Atoi(m[2])
	return uid, gid, err1 == nil && err2 == nil
}

// parseNames reads the answer of getent ahosts for names: for each name that
// is known a line with its canonical name and lines without. An answer for all
// names comes in their order; else names are known by what they begin with.
func parseNames(lines, names []string) map[string][]netip.Addr {
	type answer struct {
		name  string
		addrs []netip.Addr
	}
	var answers []answer
	for _, line := range lines {
		w := strings.Fields(line)
		if len(w) < 2 || w[1] != "STREAM" && w[1] != "DGRAM" && w[1] != "RAW" {
			continue
		}
		ip, err := netip.ParseAddr(w[0])
		if err != nil {
			continue
		}
		if len(w) > 2 {
			answers = append(answers, answer{name: w[2]})
		}
		if len(answers) == 0 {
			continue
		}
		last := &answers[len(answers)-1]
		if n := len(last.addrs); n == 0 || last.addrs[n-1] != ip.WithZone("") {
			last.addrs = append(last.addrs, ip.WithZone(""))
		}
	}
	found := map[string][]netip.Addr{}
	for i, a := range answers {
		if len(answers) == len(names) {
			found[names[i]] = a.addrs
			continue
		}
		for _, n := range names {
			if a.name == n || strings.HasPrefix(a.name, n+".") {
				found[n] = a.addrs
			}
		}
	}
	return found
}
