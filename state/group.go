package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"cw/schema"
)

// Group is a number of jobs that share a limit.
type Group struct {
	Name  string
	Limit int64 // bytes per second, all of them together; 0 none
	Jobs  int64 // that are being worked on
}

// GroupJob is a job of a group that is moving rows.
type GroupJob struct {
	ID   string
	Rate int64 // bytes per second
}

// groupPatience is how long a job may be silent before its share of the
// group's limit is the others'.
const groupPatience = 10 * time.Second

// SetGroupLimit gives a group a limit for all its jobs together, 0 for none;
// jobs that run take it up at once. The change is an event.
func (s *Store) SetGroupLimit(ctx context.Context, name string, limit int64) error {
	before, err := s.groupLimit(ctx, name)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, `insert into speed_groups (name, rate_limit, updated_at) values (?,?,?)
		on conflict (name) do update set rate_limit=excluded.rate_limit, updated_at=excluded.updated_at`, name, limit, micros(time.Now()))
	if err != nil || limit == before {
		return err
	}
	return s.AddEvent(ctx, Event{Kind: EventLimitChanged, Data: map[string]any{"group": name, "from": before, "to": limit, "by": s.Who()}, Message: fmt.Sprintf(
		"limit of group %s changed from %s to %s by %s", name, schema.FormatRate(before), schema.FormatRate(limit), s.Who())})
}

func (s *Store) groupLimit(ctx context.Context, name string) (limit int64, err error) {
	err = s.queryRow(ctx, "select rate_limit from speed_groups where name=?", name).Scan(&limit)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return limit, s.failed(err)
}

// Groups lists the groups that have a limit or jobs, by name.
func (s *Store) Groups(ctx context.Context) ([]Group, error) {
	return collect(ctx, s, func(scan func(...any) error) (Group, error) {
		var g Group
		return g, scan(&g.Name, &g.Limit, &g.Jobs)
	}, `select n.name, coalesce(max(g.rate_limit), 0), count(j.id) from
		(select name from speed_groups union select speed_group from jobs where speed_group<>'' and state in (?,?)) n
		left join speed_groups g on g.name=n.name
		left join jobs j on j.speed_group=n.name and j.state in (?,?) and j.updated_at>=? group by n.name order by n.name`,
		Running, Paused, Running, Paused, micros(time.Now().Add(-groupPatience)))
}

// GroupJobs lists the jobs of a group that take their share of its limit now:
// those in one of the phases that move rows, and not paused.
func (s *Store) GroupJobs(ctx context.Context, name string, phases ...string) ([]GroupJob, error) {
	args := []any{name, Running, micros(time.Now().Add(-groupPatience))}
	for _, p := range phases {
		args = append(args, p)
	}
	return collect(ctx, s, func(scan func(...any) error) (GroupJob, error) {
		var j GroupJob
		return j, scan(&j.ID, &j.Rate)
	}, "select id, rate from jobs where speed_group=? and state=? and updated_at>=? and phase in (?"+strings.Repeat(",?", len(phases)-1)+") order by id", args...)
}
