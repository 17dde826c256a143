package redistribute

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// scene is all tables of a cluster as they are.
type scene struct {
	setting
	down  bool
	units []*unit
}

// survey looks at all databases. The tables that the options leave out are not
// in it.
func survey(ctx context.Context, c Cluster, o Options) (scene, error) {
	s, err := c.Open(ctx, "")
	if err != nil {
		return scene{}, err
	}
	w, err := settingOf(ctx, s)
	s.Close()
	if err != nil {
		return scene{}, err
	}
	sc := scene{setting: w, down: o.Target < w.segments}
	for _, name := range w.databases {
		if len(o.Databases) > 0 && !slices.Contains(o.Databases, name) {
			continue
		}
		units, err := surveyOne(ctx, c, name)
		if err != nil {
			return scene{}, err
		}
		for _, u := range units {
			if o.wants(u) {
				u.first = o.place(u)
				u.judge(o.Target, sc.down)
				sc.units = append(sc.units, u)
			}
		}
	}
	for _, name := range w.closed {
		if len(o.Databases) == 0 || slices.Contains(o.Databases, name) {
			sc.units = append(sc.units, &unit{Table: Table{
				Database: name, State: Refused,
				Error: fmt.Sprintf("database %s allows no connections: update pg_database set datallowconn = true where datname = %s", name, literal(name)),
			}})
		}
	}
	return sc, nil
}

func surveyOne(ctx context.Context, c Cluster, database string) ([]*unit, error) {
	s, err := c.Open(ctx, database)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", database, err)
	}
	defer s.Close()
	if err := all(ctx, s, "set statement_timeout = 0;", "set client_min_messages = error;"); err != nil {
		return nil, err
	}
	return look(ctx, s, database)
}

// judge says what is to be done about a unit.
func (u *unit) judge(target int, down bool) {
	u.State, u.Segments = Pending, u.least
	if down {
		u.Segments = u.most
	}
	switch {
	case down && u.most <= target, !down && u.least >= target:
		u.State = Moved
	default:
		if why := refusal(u, target, down); why != "" {
			u.State, u.Error = Refused, why
		}
	}
}

// sortUnits puts units into the order in which they are moved: those named
// first, then by rank, then by size.
func sortUnits(units []*unit, order string) {
	slices.SortStableFunc(units, func(a, b *unit) int {
		place := func(u *unit) int {
			if u.first == 0 {
				return len(units) + 1<<20
			}
			return u.first
		}
		bySize := cmp.Compare(a.Bytes, b.Bytes)
		if order == Largest {
			bySize = -bySize
		}
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.Rank, b.Rank), bySize, cmp.Compare(a.Database, b.Database), cmp.Compare(a.Name, b.Name))
	})
}

// Plan lists all tables in the order in which they would be moved, those that
// are where they shall be and those that cannot be moved, with the reason,
// among them. It changes nothing. The target may be segments that are still to
// be added.
func Plan(ctx context.Context, c Cluster, o Options) ([]Table, error) {
	o = o.withDefaults()
	if err := o.Check(); err != nil {
		return nil, err
	}
	sc, err := survey(ctx, c, o)
	if err != nil {
		return nil, err
	}
	sortUnits(sc.units, o.Order)
	return tablesOfUnits(sc.units), nil
}

func tablesOfUnits(units []*unit) []Table {
	out := make([]Table, len(units))
	for i, u := range units {
		out[i] = u.Table
	}
	return out
}
