package redistribute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// relation is a row of gp_distribution_policy and what else matters of it.
type relation struct {
	OID         uint32 `json:"oid"`
	Root        uint32 `json:"root"` // of the partitioned table it is part of, or it itself; 0 is none
	Schema      string `json:"schema"`
	Relation    string `json:"relation"`
	Name        string `json:"name"`    // of both, quoted where need be
	Kind        string `json:"kind"`    // pg_class.relkind
	Storage     string `json:"storage"` // h heap, a and c append-only, x external
	Policy      string `json:"policy"`  // p partitioned, r replicated
	Segments    int    `json:"segments"`
	OIDs        bool   `json:"oids"`   // made WITH OIDS
	Always      string `json:"always"` // a trigger or rule that fires in replicas too
	Legacy      bool   `json:"legacy"` // hashed so that another number moves all rows
	Unpopulated bool   `json:"unpopulated"`
}

// unit is what is moved as one: a table, with all its partitions.
type unit struct {
	Table
	schema, relation string
	parts            []relation
	bytes            map[int]int64 // by segment
	first            int           // place in Options.First, from 1; 0 is none
	most             int           // the most segments one of its parts is on
	least            int
	due              time.Time     // not to be tried before
	atLeast          time.Duration // that a move takes
}

type key struct {
	database string
	oid      uint32
}

func (u *unit) key() key { return key{u.Database, u.OID} }

// look lists the units of one database.
func look(ctx context.Context, s Session, database string) ([]*unit, error) {
	d, err := dialectOf(ctx, s)
	if err != nil {
		return nil, err
	}
	var rows, bytes string
	var said error
	err = s.Exec(ctx, []string{d.relations, d.sizes}, func(i int, out string, err error) {
		said = errors.Join(said, err)
		if i == 0 {
			rows = out
		} else {
			bytes = out
		}
	})
	if err = errors.Join(err, said); err != nil {
		return nil, fmt.Errorf("listing the tables of database %s: %w", database, err)
	}
	return parseUnits(database, rows, bytes)
}

func parseUnits(database, rows, bytes string) ([]*unit, error) {
	byOID := map[uint32]*unit{}
	var out []*unit
	owner := map[uint32]*unit{} // of a part
	for line := range strings.Lines(rows) {
		var r relation
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, fmt.Errorf("reading the tables of database %s: %q: %w", database, strings.TrimSpace(line), err)
		}
		id := r.Root
		if id == 0 {
			id = r.OID
		}
		u := byOID[id]
		if u == nil {
			u = &unit{Table: Table{Database: database, OID: id}, bytes: map[int]int64{}}
			byOID[id], out = u, append(out, u)
		}
		if r.OID == id {
			u.Name, u.schema, u.relation = r.Name, r.Schema, r.Relation
		}
		u.parts, owner[r.OID] = append(u.parts, r), u
		if len(u.parts) == 1 {
			u.least, u.most = r.Segments, r.Segments
		}
		u.least, u.most = min(u.least, r.Segments), max(u.most, r.Segments)
	}
	for line := range strings.Lines(bytes) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != 3 {
			return nil, fmt.Errorf("reading the sizes of the tables of database %s: %q", database, line)
		}
		oid, err1 := strconv.ParseUint(f[0], 10, 32)
		seg, err2 := strconv.Atoi(f[1])
		n, err3 := strconv.ParseInt(f[2], 10, 64)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("reading the sizes of the tables of database %s: %w", database, err)
		}
		if u := owner[uint32(oid)]; u != nil {
			u.bytes[seg] += n
			u.Bytes += n
		}
	}
	return out, nil
}

// setting is what a controller must know of the whole cluster.
type setting struct {
	segments  int // primaries
	databases []string
	closed    []string // that allow no connections, template0 apart
}

func settingOf(ctx context.Context, s Session) (setting, error) {
	out, err := one(ctx, s, `select 's' as k, count(*)::text as v from pg_catalog.gp_segment_configuration where content >= 0 and role = 'p'
union all select case when datallowconn then 'd' else 'c' end, to_json(datname::text)::text from pg_catalog.pg_database where datname <> 'template0' order by 1, 2;`)
	if err != nil {
		return setting{}, fmt.Errorf("reading the databases of the cluster: %w", err)
	}
	var w setting
	for line := range strings.Lines(out) {
		kind, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "|")
		var name string
		if kind == "s" {
			w.segments, err = strconv.Atoi(v)
		} else {
			err = json.Unmarshal([]byte(v), &name)
		}
		if err != nil {
			return setting{}, fmt.Errorf("reading the databases of the cluster: %q: %w", line, err)
		}
		switch kind {
		case "d":
			w.databases = append(w.databases, name)
		case "c":
			w.closed = append(w.closed, name)
		}
	}
	if w.segments == 0 {
		return setting{}, errors.New("the cluster has no segments")
	}
	return w, nil
}
