package greenplum

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"cw/cluster"
	"cw/cluster/redistribute"
	"cw/remote"
)

// Redistribution is the cluster as the controller that moves its tables sees
// it. What it measures of disks it compares with what it measured before.
func (e *Engine) Redistribution() redistribute.Cluster {
	return &redistribution{e: e, busy: map[string]deviceTime{}}
}

type redistribution struct {
	e *Engine

	mu   sync.Mutex
	busy map[string]deviceTime // by host and device
}

// deviceTime is how long a device has worked since it is there.
type deviceTime struct {
	worked time.Duration
	at     time.Duration // of the host's own clock since it started
}

// Sessions leaves of the sessions that one connection carries (remote, conn.go)
// one for looks and one for what ends a session.
func (r *redistribution) Sessions() int { return 7 }

// sessionScript is a psql that reads statements for as long as its input is open.
const sessionScript = `PGOPTIONS="$2" exec psql -X -q -A -t -d "$1" 2>&1`

// Open makes it a redistribute.Cluster.
func (r *redistribution) Open(ctx context.Context, database string) (redistribute.Session, error) {
	e, n := r.e, r.e.coordinator()
	if database == "" {
		database = "postgres"
	}
	home, err := e.home(ctx, n.Host)
	if err != nil {
		return nil, err
	}
	info := fmt.Sprintf("host=%s port=%d dbname=%s user=%s connect_timeout=10", connValue(socketDir(n)), n.Port, connValue(database), connValue(e.top.OSUser))
	run := func(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
		_, err := e.Fleet.Host(n.Host).Run(ctx, remote.Cmd{
			Args: []string{"/bin/sh", "-c", prelude + sessionScript, "cw", home, info, "-c lc_messages=C -c DateStyle=ISO -c client_encoding=UTF8"}, As: e.top.OSUser, Dir: "/", Stdin: stdin, Stdout: stdout,
		})
		var exit *remote.ExitError
		if errors.As(err, &exit) {
			return fmt.Errorf("%s: psql ended with status %d", n.Host, exit.Code) // what it said was on its output
		}
		return err
	}
	return redistribute.StartPsql(ctx, run, func(ctx context.Context, pid int) error {
		_, err := e.sql(ctx, session{node: n, options: e.dialect(utility)}, fmt.Sprintf("select pg_terminate_backend(%d);", pid))
		return err
	})
}

// diskScript prints for every folder given the number of its device, the size
// and the free space of its file system in KiB, and where that is mounted; and
// for every device how many milliseconds it has worked (field 13 of
// /proc/diskstats, iostats.txt of the kernel).
const diskScript = `read -r up _ </proc/uptime; echo "up $up"
for d in "$@"; do
  echo "dir $(stat -c %d "$d") $(df -Pk "$d" | awk 'NR == 2 { size = $2; free = $4; $1 = $2 = $3 = $4 = $5 = ""; sub(/^ +/, ""); print size, free, $0 }')"
done
awk '{ print "dev", $1, $2, $13 }' /proc/diskstats`

// Look makes it a redistribute.Cluster.
func (r *redistribution) Look(ctx context.Context) ([]redistribute.Host, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	names := r.e.segmentHosts()
	out := make([]redistribute.Host, len(names))
	var wait sync.WaitGroup
	for i, name := range names {
		wait.Go(func() {
			out[i] = redistribute.Host{Name: name}
			nodes := r.e.segments(name)
			dirs := make([]string, len(nodes))
			for j, n := range nodes {
				dirs[j] = n.DataDir
			}
			text, err := r.e.sh(ctx, name, diskScript, dirs...)
			if err == nil {
				out[i].Disks, err = r.disks(name, nodes, text)
			}
			out[i].Err = err
		})
	}
	wait.Wait()
	return out, ctx.Err()
}

// disks reads the answer of diskScript.
func (r *redistribution) disks(host string, nodes []cluster.Node, text string) ([]redistribute.Disk, error) {
	var up time.Duration
	var list []redistribute.Disk
	place := map[string]int{} // of a device in list
	var devices []string
	worked := map[string]time.Duration{}
	seen := 0
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "up":
			s, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				return nil, fmt.Errorf("%s: reading its uptime: %q", host, line)
			}
			up = time.Duration(s * float64(time.Second))
		case len(f) >= 5 && f[0] == "dir" && seen < len(nodes):
			dev, err1 := strconv.ParseUint(f[1], 10, 64)
			size, err2 := strconv.ParseInt(f[2], 10, 64)
			free, err3 := strconv.ParseInt(f[3], 10, 64)
			if err := errors.Join(err1, err2, err3); err != nil {
				return nil, fmt.Errorf("%s: reading its disks: %w", host, err)
			}
			name := deviceName(dev)
			i, known := place[name]
			if !known {
				i = len(list)
				place[name], devices = i, append(devices, name)
				list = append(list, redistribute.Disk{Mount: strings.Join(f[4:], " "), Size: size << 10, Free: free << 10, Busy: -1})
			}
			list[i].Contents = append(list[i].Contents, nodes[seen].Content)
			seen++
		case len(f) == 4 && f[0] == "dev":
			if ms, err := strconv.ParseInt(f[3], 10, 64); err == nil {
				worked[f[1]+":"+f[2]] = time.Duration(ms) * time.Millisecond
			}
		}
	}
	if seen != len(nodes) || up == 0 {
		return nil, fmt.Errorf("%s: it told of %d of %d data directories how much space they have", host, seen, len(nodes))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, name := range devices {
		w, known := worked[name]
		if !known {
			continue // a file system that is spread over several, or on none
		}
		if before, ok := r.busy[host+" "+name]; ok && up > before.at {
			list[i].Busy = min(1, max(0, float64(w-before.worked)/float64(up-before.at)))
		}
		r.busy[host+" "+name] = deviceTime{w, up}
	}
	return list, nil
}

// deviceName is major:minor of a device number (makedev(3)).
func deviceName(dev uint64) string {
	return fmt.Sprintf("%d:%d", dev>>8&0xfff|dev>>32&^0xfff, dev&0xff|dev>>12&^0xff&0xffffffff)
}
