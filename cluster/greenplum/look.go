package greenplum

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"cw/cluster"
	"cw/cluster/hostprep"
)

// The states of an instance's process.
const (
	procStopped   = "stopped"
	procReady     = "ready"     // takes connections
	procRecovery  = "recovery"  // runs as a mirror or standby, or recovers from a crash
	procNoAnswer  = "no answer" // there is a postmaster, and it does not answer
	sightLifetime = 2 * time.Second
)

// sight is what was seen of one node on its host.
type sight struct {
	Mark     string // hostprep.DirAbsent, DirEmpty, DirOurs, DirForeign
	Data     bool   // the data directory is complete
	Follower bool   // it has a recovery.conf: it starts as mirror or standby
	Proc     string
	Unready  bool // an unfinished data directory lies beside it
	Rewound  bool // pg_rewind began and did not end: not to be started
	Restart  bool // this run stopped it already
	Disk     *cluster.DiskStatus
}

// sighting is what was last seen of a host. Checks of many nodes come
// together; they share one look.
type sighting struct {
	mu   sync.Mutex
	at   time.Time
	err  error
	seen map[int]sight
	tmpl bool
}

// lookScript prints, for each node given as id, folder, data directory, port
// and socket folder, what a sight holds, and then, for each, size and free
// space of its file system. It is asked before and after every step, so that it
// starts few programs. $1 is the cluster's uid, $2 the token of this run, $3
// the template's folder. pg_isready ends with 64 for a mirror that is ready
// (libpq's PQPING_MIRROR_READY). A postmaster that is not in its data
// directory is somebody else's with a recycled process id.
const lookScript = aliveScript + `uid=$1 token=$2
[ -f "$3/PG_VERSION" ] && echo template
shift 3
holds() { while read -r line || [ "$line" ]; do case $line in *"$2"*) return 0;; esac; done <"$1"; return 1; }
n=$(($# / 5))
while [ $n -gt 0 ]; do
  n=$((n-1)) id=$1 dir=$2 data=$3 port=$4 sock=$5; shift 5
  mark=ours
  if [ ! -e "$dir" ]; then mark=absent
  elif [ -f "$dir/` + hostprep.MarkerFile + `" ]; then holds "$dir/` + hostprep.MarkerFile + `" "\"uid\": \"$uid\"" || mark=foreign
  elif [ -z "$(ls -A "$dir")" ]; then mark=empty
  else mark=foreign; fi
  have=- rec=- proc=stopped new=- rew=- again=- by=
  [ -f "$data/PG_VERSION" ] && have=data
  [ -f "$data/recovery.conf" ] && rec=follower
  [ -e "$data.cw-new" ] && new=new
  [ -e "$dir/` + rewindNote + `" ] && rew=rewound
  [ "$token" ] && [ -f "$dir/` + restartNote + `" ] && read -r by <"$dir/` + restartNote + `" && [ "$by" = "$token" ] && again=again
  if alive "$data"; then
    PGOPTIONS="` + utility + `" pg_isready -q -t 2 -d template1 -h "$sock" -p "$port"
    case $? in 0) proc=ready;; 1|64) proc=recovery;; *) proc=silent;; esac
  fi
  echo "$id $mark $have $rec $proc $new $rew $again"
  while [ ! -e "$data" ]; do data=${data%/*} data=${data:-/}; done
  set -- "$@" "$data"
done
[ $# -eq 0 ] || df -Pk "$@" | awk 'NR > 1 {print "df", $(NF-4), $(NF-2)}'`

// The notes that steps leave in a node's folder.
const (
	rewindNote  = "cw-rewind-unfinished"
	restartNote = "cw-restarted-by"
)

// see returns what is known of a node, looking when that is old.
func (e *Engine) see(ctx context.Context, n cluster.Node) (sight, error) {
	s := e.sights[n.Host]
	s.mu.Lock()
	defer s.mu.Unlock()
	e.refresh(ctx, n.Host, s)
	return s.seen[n.ID], s.err
}

// seeTemplate says whether the host's template is complete.
func (e *Engine) seeTemplate(ctx context.Context, host string) (bool, error) {
	s := e.sights[host]
	s.mu.Lock()
	defer s.mu.Unlock()
	e.refresh(ctx, host, s)
	return s.tmpl, s.err
}

// changed makes the next Check on a host look anew.
func (e *Engine) changed(host string) {
	s := e.sights[host]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = time.Time{}
}

// refresh looks at a host, unless it did so a moment ago.
func (e *Engine) refresh(ctx context.Context, host string, s *sighting) {
	if time.Since(s.at) < sightLifetime {
		return
	}
	s.seen, s.tmpl, s.err = e.lookAt(ctx, host)
	s.at = time.Now()
	if ctx.Err() != nil {
		s.at = time.Time{} // that was not the host's fault
	}
}

func (e *Engine) lookAt(ctx context.Context, host string) (map[int]sight, bool, error) {
	args := []string{e.UID, e.Run, e.templateDir(host)}
	for _, n := range e.lay.On(host) {
		args = append(args, strconv.Itoa(n.ID), n.Dir, n.DataDir, strconv.Itoa(n.Port), socketDir(n))
	}
	out, err := e.sh(ctx, host, lookScript, args...)
	if err != nil {
		return nil, false, ignoreAbsent(err)
	}
	return parseSights(e.lay.On(host), out)
}

// parseSights reads the answer of lookScript.
func parseSights(nodes []cluster.Node, out string) (map[int]sight, bool, error) {
	seen, tmpl := map[int]sight{}, false
	known := map[int]bool{}
	for _, n := range nodes {
		known[n.ID] = true
	}
	var disks []*cluster.DiskStatus
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		f := strings.Fields(line)
		switch {
		case line == "":
			continue
		case line == "template":
			tmpl = true
			continue
		case len(f) == 3 && f[0] == "df":
			if size, free, err := hostprep.ParseDF(f[1] + " " + f[2]); err == nil {
				disks = append(disks, &cluster.DiskStatus{Size: size, Free: free})
			}
			continue
		}
		id := 0
		if len(f) == 8 {
			id, _ = strconv.Atoi(f[0])
		}
		if !known[id] {
			return nil, false, fmt.Errorf("looking at the nodes: an answer in an unknown form: %q", line)
		}
		s := sight{Mark: f[1], Data: f[2] == "data", Follower: f[3] == "follower", Unready: f[5] == "new", Rewound: f[6] == "rewound", Restart: f[7] == "again"}
		s.Proc = map[string]string{"ready": procReady, "recovery": procRecovery, "silent": procNoAnswer}[f[4]]
		if s.Proc == "" {
			s.Proc = procStopped
		}
		seen[id] = s
	}
	for i, n := range nodes {
		if s, ok := seen[n.ID]; ok && len(disks) == len(nodes) { // else one of them is not known, and which is not either
			disks[i].Path = n.DataDir
			s.Disk = disks[i]
			seen[n.ID] = s
		}
	}
	return seen, tmpl, nil
}
