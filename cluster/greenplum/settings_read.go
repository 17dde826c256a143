package greenplum

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"cw/cluster"
	"cw/cluster/guc"
	"cw/fault"
	"cw/schema"
)

// values are the settings of one instance.
type values struct {
	rows map[string]guc.Row // running, by name in lower case; nil when it takes no connections
	file map[string]string  // what its postgresql.conf says; the last line counts
	err  error              // why rows is nil
}

// valuesScript prints for each instance given as data directory, port and
// socket folder: "node", the lines of its postgresql.conf that set something,
// and a line "rows" with pg_settings as JSON, or "down". $1 is the query.
const valuesScript = `query=$1; shift
while [ $# -gt 0 ]; do
  echo node
  grep -Eh '^[[:space:]]*[A-Za-z_][A-Za-z0-9_.]*[[:space:]]*[= ]' "$1/postgresql.conf" | sed 's/^[[:space:]]*/set /'
  if rows=$(PGOPTIONS="` + utility + `" psql -X -q -A -t -h "$3" -p "$2" -d template1 -c "$query" 2>&1); then echo "rows $rows"; else echo "down $(echo "$rows" | tail -n 1)"; fi
  shift 3
done`

const valuesQuery = `select replace(json_agg(r)::text, chr(10), '') from (select name, coalesce(current_setting(name), '') as show, coalesce(setting, '') as setting, coalesce(unit, '') as unit,
 vartype as type, context, coalesce(min_val, '') as min, coalesce(max_val, '') as max, coalesce(enumvals, '{}') as enum, source from pg_settings) r`

var assignment = regexp.MustCompile(`^set ([A-Za-z_][A-Za-z0-9_.]*)\s*(?:=|\s)\s*(?:'((?:[^'\\]|''|\\.)*)'|([^\s#']*))`)

// readValues reads the settings of all nodes, in the layout's order.
func (e *Engine) readValues(ctx context.Context) ([]values, error) {
	byNode := map[int]values{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, h := range e.hosts() {
		wg.Go(func() {
			nodes := e.lay.On(h)
			args := []string{valuesQuery}
			for _, n := range nodes {
				args = append(args, n.DataDir, strconv.Itoa(n.Port), socketDir(n))
			}
			out, err := e.sh(ctx, h, valuesScript, args...)
			got := parseValues(out)
			if err == nil && len(got) != len(nodes) {
				err = fmt.Errorf("%s: reading settings: an answer in an unknown form", h)
			}
			mu.Lock()
			defer mu.Unlock()
			for i, n := range nodes {
				if err != nil {
					byNode[n.ID] = values{err: err}
				} else {
					byNode[n.ID] = got[i]
				}
			}
		})
	}
	wg.Wait()
	out := make([]values, len(e.lay.Nodes))
	for i, n := range e.lay.Nodes {
		out[i] = byNode[n.ID]
	}
	return out, ctx.Err()
}

// parseValues reads the answer of valuesScript.
func parseValues(out string) []values {
	var all []values
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "node":
			all = append(all, values{file: map[string]string{}, err: errors.New("no answer")})
		case len(all) == 0:
		case strings.HasPrefix(line, "set "):
			if m := assignment.FindStringSubmatch(line); m != nil {
				v := m[3]
				if m[2] != "" || strings.Contains(line, "''") {
					v = strings.NewReplacer("''", "'", `\'`, "'", `\\`, `\`).Replace(m[2])
				}
				all[len(all)-1].file[strings.ToLower(m[1])] = v
			}
		case strings.HasPrefix(line, "rows "):
			var rows []guc.Row
			v := &all[len(all)-1]
			if v.err = json.Unmarshal([]byte(line[5:]), &rows); v.err == nil {
				v.rows = map[string]guc.Row{}
				for _, r := range rows {
					v.rows[strings.ToLower(r.Name)] = r
				}
			}
		case strings.HasPrefix(line, "down "):
			all[len(all)-1].err = errors.New(line[5:])
		}
	}
	return all
}

// Settings are the values of settings on every node. Mirrors and the standby
// take no connections: of them the file is known. Without names they are
// those that the file of any node sets.
func (e *Engine) Settings(ctx context.Context, wanted []string) ([]cluster.NodeSetting, error) {
	all, err := e.readValues(ctx)
	if err != nil {
		return nil, err
	}
	var names, problems []string
	for _, w := range wanted {
		names = append(names, strings.ToLower(w))
	}
	known := e.anyRows(all)
	if len(wanted) == 0 {
		for _, v := range all {
			for name := range v.file {
				if _, is := known[name]; is && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
		slices.Sort(names)
	}
	for _, n := range names {
		if _, ok := known[n]; !ok && len(known) > 0 {
			problems = append(problems, unknownSetting(n, known))
		}
	}
	if len(problems) > 0 {
		return nil, fault.New(fault.Usage, "cw cluster config get "+e.top.Name+" lists what is set", "%s", strings.Join(problems, "\n"))
	}
	var out []cluster.NodeSetting
	for i, n := range e.lay.Nodes {
		one := cluster.NodeSetting{Node: n.Name(), Role: n.Role, Host: n.Host}
		v := all[i]
		if v.file == nil {
			one.Error = v.err.Error()
			out = append(out, one)
			continue
		}
		for _, name := range names {
			out = append(out, v.of(one, name, known[name]))
		}
	}
	return out, nil
}

// of fills in a setting. like is its row on a node that answers.
func (v values) of(s cluster.NodeSetting, name string, like guc.Row) cluster.NodeSetting {
	s.Name = name
	file, set := v.file[name]
	row, runs := v.rows[name]
	if !runs {
		if s.Value = file; set && like.Name != "" && like.Same(file, like.Setting) {
			s.Value = like.Show // written as the others show it
		}
		if !set {
			s.Error = "takes no connections, and its file does not set it"
		}
		return s
	}
	s.Name, s.Value = row.Name, row.Show
	if set && !row.Same(file, row.Setting) && !row.Same(file, row.Show) {
		s.Configured, s.PendingRestart = file, like.Context == "postmaster"
	}
	return s
}

// anyRows is pg_settings of the first node that answers, the coordinator's
// where it can be.
func (e *Engine) anyRows(all []values) map[string]guc.Row {
	c := e.coordinator()
	for i, n := range e.lay.Nodes {
		if n.ID == c.ID && all[i].rows != nil {
			return all[i].rows
		}
	}
	for _, v := range all {
		if v.rows != nil {
			return v.rows
		}
	}
	return nil
}

// unknownSetting is the sentence about a name that is no setting, with the
// nearest one that is.
func unknownSetting(name string, known map[string]guc.Row) string {
	all := make([]string, 0, len(known))
	for n := range known {
		all = append(all, n)
	}
	slices.Sort(all)
	text := name + ": there is no such setting"
	if near := schema.Nearest(name, all); near != "" {
		text += "; did you mean " + near + "?"
	}
	return text
}
