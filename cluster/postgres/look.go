package postgres

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cw/cluster"
	"cw/fault"
)

// lookPatience bounds what one host may take before it counts as one that
// does not answer; a machine that is off says nothing at all.
const lookPatience = 20 * time.Second

// view is what Recover and Promote see of a node: more than status does.
type view struct {
	node       cluster.Node
	host       error // the host did not answer, or not as it should
	proc       string
	signal     bool   // standby.signal is there: the server follows, whatever its configuration says
	unfinished bool   // pg_rewind or a copy was interrupted
	copied     string // the run that copied it last
	control    control
	conninfo   string // primary_conninfo and primary_slot_name of its files
	slot       string
	badConf    string // what is wrong with its configuration files
	server     error  // it runs, but does not answer
	live       *live  // what it says of itself, when it runs and answers
}

// control is what pg_controldata says.
type control struct {
	system     string
	state      string
	checkpoint lsn // of the last checkpoint record
	tli        int64
}

// clean says whether the server was shut down as a primary, with its last
// checkpoint as the last record of its WAL.
func (c control) clean() bool { return c.state == "shut down" }

// live is what a running server says of itself.
type live struct {
	Recovery bool     `json:"recovery"`
	TLI      int64    `json:"tli"`
	LSN      lsn      `json:"lsn"`      // written by a primary; received by a standby, or replayed where that is more
	Oldest   string   `json:"oldest"`   // name of the oldest WAL segment, without the timeline
	SegSize  int64    `json:"segsize"`  // bytes
	Receiver string   `json:"receiver"` // state of a standby's receiver
	Archive  bool     `json:"archive"`  // it can also get WAL with restore_command
	Conninfo string   `json:"conninfo"` // primary_conninfo and primary_slot_name of its files
	Slot     string   `json:"slot"`
	History  string   `json:"history"` // of the timeline, for a primary
	Senders  []sender `json:"senders"`
	Slots    []string `json:"slots"` // names of physical slots
	Idle     []string `json:"idle"`  // those of them that nobody uses
}

// primary says whether a node takes writes.
func (v view) primary() bool { return v.live != nil && !v.live.Recovery }

// standby says whether a node runs and follows, or tries to.
func (v view) standby() bool { return v.live != nil && v.live.Recovery }

func (v view) runs() bool { return v.proc == procReady || v.proc == procBusy }

// describe says in a few words how a node is.
func (v view) describe() string {
	switch {
	case v.host != nil:
		return "its host does not answer"
	case v.unfinished:
		return "an unfinished copy"
	case v.primary():
		return "takes writes"
	case v.standby():
		return "standby"
	case v.server != nil:
		return "does not answer"
	case v.proc == procStopped:
		return "stopped, " + v.control.state
	}
	return v.proc
}

// viewScript prints facts of data directory $1 and node folder $2; $3 is the
// folder of the binaries, $4 a configuration file elsewhere. A value may hold
// backslashes, which echo would not leave alone.
const viewScript = `state() { ` + procScript + `
}
proc=$(state "$1")
echo "proc $proc"
if [ -e "$1/standby.signal" ]; then echo "signal yes"; fi
if [ -e "$2/unfinished" ]; then echo "unfinished yes"; fi
if [ -f "$2/copied-by" ]; then echo "copied $(cat "$2/copied-by")"; fi
[ -f "$1/PG_VERSION" ] || exit 0
"$3/pg_controldata" -D "$1" 2>/dev/null | sed 's/^/control /'
[ "$proc" != ready ] || exit 0 # one that runs can be asked itself
for s in primary_conninfo primary_slot_name; do
  if v=$("$3/postgres" -C "$s" -D "$1" ${4:+-c "config_file=$4"} 2>/dev/null); then printf '%s %s\n' "$s" "$v"
  else printf 'badconf %s\n' "$("$3/postgres" -C "$s" -D "$1" ${4:+-c "config_file=$4"} 2>&1 | head -n 1)"; fi
done`

// liveQuery is one JSON object about a running server. A standby that has no
// connection does not say which timeline it is on; its WAL does.
const liveQuery = `set statement_timeout = '10s';
with w as (select name from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$')
select json_build_object(
  'recovery', pg_is_in_recovery(),
  'tli', case when pg_is_in_recovery() then greatest(
      (select received_tli from pg_stat_wal_receiver), (select timeline_id from pg_control_checkpoint()),
      (select min_recovery_end_timeline from pg_control_recovery()), (select max(('x' || substr(name, 1, 8))::bit(32)::bigint) from w))
    else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint end,
  'lsn', case when pg_is_in_recovery() then greatest(coalesce(pg_last_wal_receive_lsn(), '0/0'), coalesce(pg_last_wal_replay_lsn(), '0/0')) else pg_current_wal_lsn() end,
  'oldest', coalesce((select min(substr(name, 9)) from w), ''),
  'segsize', (select setting::bigint from pg_settings where name = 'wal_segment_size'),
  'receiver', coalesce((select status from pg_stat_wal_receiver), ''),
  'archive', current_setting('restore_command') <> '',
  'conninfo', coalesce((select setting from pg_file_settings where lower(name) = 'primary_conninfo' order by seqno desc limit 1), ''),
  'slot', coalesce((select setting from pg_file_settings where lower(name) = 'primary_slot_name' order by seqno desc limit 1), ''),
  'senders', (select coalesce(json_agg(json_build_object('name', application_name, 'state', state)), '[]'::json) from pg_stat_replication),
  'slots', (select coalesce(json_agg(slot_name), '[]'::json) from pg_replication_slots where slot_type = 'physical'),
  'idle', (select coalesce(json_agg(slot_name), '[]'::json) from pg_replication_slots where slot_type = 'physical' and not active));`

// views looks at all nodes at once.
func (e *Engine) views(ctx context.Context) []view {
	out := make([]view, len(e.lay.Nodes))
	var wg sync.WaitGroup
	for i, n := range e.lay.Nodes {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, lookPatience)
			defer cancel()
			out[i] = e.view(ctx, n)
		})
	}
	wg.Wait()
	return out
}

// view looks at one node; what cannot be seen is part of the answer.
func (e *Engine) view(ctx context.Context, n cluster.Node) view {
	v := view{node: n}
	if exists, err := e.Fleet.UserExists(ctx, n.Host); err != nil || !exists {
		v.host, v.proc = err, procNone
		return v
	}
	bin := "/nonexistent" // a host without the software has no server either
	if b, err := e.binaries(ctx, n.Host); err == nil {
		bin = b.Dir
	}
	out, err := e.sh(ctx, n, viewScript, n.DataDir, n.Dir, bin, n.ConfigFile)
	if err != nil {
		v.host = err
		return v
	}
	v.parse(out)
	if v.proc != procReady {
		return v
	}
	v.live = &live{}
	if v.server = e.query(ctx, n, liveQuery, v.live); v.server == nil && !v.live.Recovery && v.live.TLI > 1 {
		v.server = e.query(ctx, n, fmt.Sprintf("select to_json(pg_read_file('pg_wal/%08X.history'))", v.live.TLI), &v.live.History)
	}
	if v.server != nil {
		v.live = nil
		return v
	}
	v.conninfo, v.slot = v.live.Conninfo, v.live.Slot
	return v
}

func (v *view) parse(out string) {
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		switch key {
		case "proc":
			v.proc = strings.TrimSpace(value)
		case "signal":
			v.signal = true
		case "unfinished":
			v.unfinished = true
		case "copied":
			v.copied = strings.TrimSpace(value)
		case "primary_conninfo":
			v.conninfo = value
		case "primary_slot_name":
			v.slot = strings.TrimSpace(value)
		case "badconf":
			v.badConf = value
		case "control":
			v.control.set(value)
		}
	}
}

func (c *control) set(line string) {
	key, value, _ := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	switch key {
	case "Database system identifier":
		c.system = value
	case "Database cluster state":
		c.state = value
	case "Latest checkpoint location":
		c.checkpoint, _ = parseLSN(value)
	case "Latest checkpoint's TimeLineID":
		c.tli, _ = strconv.ParseInt(value, 10, 64)
	}
}

// stale are the slots that a standby has from the time when it was the
// primary of v: nobody will ever use them, and they keep its WAL.
func (e *Engine) stale(v, p view) []string {
	ours := append([]string{p.slot}, p.live.Slots...)
	for _, n := range e.lay.Nodes {
		ours = append(ours, slot(n))
	}
	return slices.DeleteFunc(slices.Clone(v.live.Idle), func(s string) bool { return !slices.Contains(ours, s) })
}

// noAnswer is the error about a host that does not answer.
func noAnswer(v view, hint string) error {
	kind := fault.KindOf(v.host)
	if kind == fault.Failed {
		kind = fault.Unreachable
	}
	return fault.New(kind, hint, "%s %s on %s: its host does not answer: %w", v.node.Role, v.node.Name(), v.node.Host, v.host)
}

// note is a small file in the node's folder.
func (e *Engine) note(ctx context.Context, n cluster.Node, name string) error {
	return e.Fleet.WriteFile(ctx, n.Host, e.top.OSUser, path.Join(n.Dir, name), []byte(e.Run+"\n"), 0o600)
}
