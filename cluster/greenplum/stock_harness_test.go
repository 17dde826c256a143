package greenplum_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// sshd lets gpadmin in by key; the account has no password and is not locked.
// ~/.bashrc is read by the stock tools' plain ssh commands. GSSAPI and DNS are
// not asked, which would cost the stock tools time and cw none.
const stockUserScript = `set -e
id gpadmin >/dev/null 2>&1 || useradd --shell /bin/bash gpadmin
usermod -s /bin/bash -p '*' gpadmin
h=$(getent passwd gpadmin | cut -d: -f6)
mkdir -p "$h/.ssh"
printf '%s' "$1" >"$h/.ssh/id_ed25519"
printf '%s' "$2" | tee "$h/.ssh/id_ed25519.pub" >"$h/.ssh/authorized_keys"
printf 'StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n' >"$h/.ssh/config"
printf 'export LC_ALL=%s USER=gpadmin LOGNAME=gpadmin\n. %s/greenplum_path.sh\n' "$4" "$3" >"$h/.bashrc"
cp "$h/.bashrc" "$h/.bash_profile"
chown -R gpadmin: "$h"
chmod 0755 "$h"
chmod 0700 "$h/.ssh"
chmod 0600 "$h"/.ssh/*
`

// stockLocale is the locale that gpinitsystem makes clusters with unless told otherwise.
const stockLocale = "en_US.utf8"

// stock makes the hosts fit for the stock tools: gpadmin on all hosts, who
// comes from each to each by key, with greenplum_path.sh sourced.
func (w *world) stock() {
	w.t.Helper()
	dir := w.t.TempDir()
	if out, err := exec.CommandContext(w.t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir+"/key").CombinedOutput(); err != nil {
		w.t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	var key [2]string
	for i, name := range []string{"/key", "/key.pub"} {
		text, err := os.ReadFile(dir + name)
		if err != nil {
			w.t.Fatal(err)
		}
		key[i] = string(text)
	}
	w.everywhere("sh", "-c", stockUserScript, "sh", key[0], key[1], os.Getenv("CW_TEST_GPHOME"), stockLocale)
	if out, err := w.gp(1, "python -c 'import psutil, pygresql' && locale -a | grep -qix "+stockLocale); err != nil {
		w.t.Skipf("the stock tools do not run here (python 2.7, psutil, pygresql, locale %s): %s", stockLocale, out)
	}
}

// everywhere runs a command as root on all hosts, which must succeed.
func (w *world) everywhere(args ...string) {
	w.t.Helper()
	for i := range w.lab.Hosts {
		w.lab.Run(i+1, args...)
	}
}

// stockTool runs a stock tool as gpadmin on host 1 against the coordinator in
// dir on port 5432. Their exit code 1 means warnings only for gpinitsystem
// and gpstop; everything else that is not 0 is an error.
func (w *world) stockTool(dir, command string) (string, error) {
	return w.gp(1, "export LC_ALL="+stockLocale+" USER=gpadmin LOGNAME=gpadmin MASTER_DATA_DIRECTORY="+dir+" PGPORT=5432 PGDATABASE=postgres; cd ~; "+command+" </dev/null")
}

// mustStock is stockTool for a command that must succeed.
func (w *world) mustStock(dir, command string) string {
	w.t.Helper()
	out, err := w.stockTool(dir, command)
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", command, err, tail(out, 60))
	}
	return out
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// The folders of a cluster that gpinitsystem made.
const stockMaster = "/data/master/gpseg-1"

// initConfig is what differs between clusters of gpinitsystem.
type initConfig struct {
	first           int      // number of the first segment host
	primaries       []string // one data folder per primary of a host
	mirrorDirs      []string // as many, or nil for none
	standby         int      // number of the standby's host, 0 for none
	maxConnections  string
	sharedBuffers   string
	segmentSettings string // lines of gpinitsystem's -p file, no spaces in values
}

// gpinitsystem makes a cluster with the stock tool: the coordinator on host 1,
// with standby the standby on host 2, segments on all others (on host 1 if
// there is no other), data directories in /data/master, /data/primary and
// /data/mirror, ports 5432, 6000 and 7000 on.
func (w *world) gpinitsystem(segmentsPerHost int, mirrors, standby bool) {
	w.t.Helper()
	w.stock()
	c := initConfig{first: 2, maxConnections: "50", sharedBuffers: "32MB"}
	if standby {
		c.standby, c.first = 2, 3
	}
	if len(w.lab.Hosts) < c.first {
		c.first = 1
	}
	for range segmentsPerHost {
		c.primaries = append(c.primaries, "/data/primary")
		if mirrors {
			c.mirrorDirs = append(c.mirrorDirs, "/data/mirror")
		}
	}
	w.stockFolders(c)
	w.initSystem(c)
}

// stockFolders makes the folders that gpinitsystem wants to find.
func (w *world) stockFolders(c initConfig) {
	w.t.Helper()
	dirs := strings.Join(append(append([]string{"/data/master"}, c.primaries...), c.mirrorDirs...), " ")
	w.everywhere("sh", "-c", "mkdir -p "+dirs+" && chown gpadmin: "+dirs)
}

// initSystem runs gpinitsystem; exit code 1 stands for warnings.
func (w *world) initSystem(c initConfig) {
	w.t.Helper()
	var machines, conf strings.Builder
	for _, h := range w.lab.Hosts[c.first-1:] {
		fmt.Fprintln(&machines, h.Name)
	}
	fmt.Fprintf(&conf, "ARRAY_NAME=stock\nSEG_PREFIX=gpseg\nPORT_BASE=6000\ndeclare -a DATA_DIRECTORY=(%s)\n", strings.Join(c.primaries, " "))
	fmt.Fprintf(&conf, "MASTER_HOSTNAME=%s\nMASTER_DIRECTORY=/data/master\nMASTER_PORT=5432\nTRUSTED_SHELL=ssh\nCHECK_POINT_SEGMENTS=8\nENCODING=UNICODE\nMACHINE_LIST_FILE=/tmp/machines\nMASTER_MAX_CONNECT=%s\n", w.lab.Hosts[0].Name, c.maxConnections)
	if c.mirrorDirs != nil {
		fmt.Fprintf(&conf, "MIRROR_PORT_BASE=7000\ndeclare -a MIRROR_DATA_DIRECTORY=(%s)\n", strings.Join(c.mirrorDirs, " "))
	}
	args := "-a -c /tmp/init.conf -h /tmp/machines -b " + c.sharedBuffers
	if c.standby != 0 {
		args += " -s " + w.lab.Hosts[c.standby-1].Name
	}
	if c.segmentSettings != "" {
		args += " -p /tmp/init.addons"
	}
	w.lab.Run(1, "sh", "-c", `printf '%s' "$1" >/tmp/machines; printf '%s' "$2" >/tmp/init.conf; printf '%s' "$3" >/tmp/init.addons; chmod 644 /tmp/machines /tmp/init.conf /tmp/init.addons`, "sh", machines.String(), conf.String(), c.segmentSettings)
	w.mustStock(stockMaster, "gpinitsystem "+args+"; is=$?; [ $is -le 1 ] && [ -f "+stockMaster+"/postmaster.pid ]")
}
