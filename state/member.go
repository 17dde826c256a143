package state

import (
	"context"
	"time"
)

// The kinds of a Member.
const (
	MemberCluster = "cluster" // Name is the cluster's, State its health as it was seen last
	MemberHost    = "host"    // Name is cluster/host
	MemberWorker  = "worker"  // of a load: Name is job/host
	MemberMonitor = "monitor" // Name is the process: user@machine:pid
)

// Member is something that is there and says so again and again, or is said to
// be there by who looks at it. One that is not heard of until ExpiresAt is
// gone.
type Member struct {
	Kind      string
	Name      string
	Cluster   string
	Host      string
	Owner     string // the process that says so: user@machine:pid
	State     string
	Detail    string    // for people, or JSON, as its kind likes
	Since     time.Time // when it came into that state
	SeenAt    time.Time
	ExpiresAt time.Time
}

const memberColumns = "kind, name, cluster, host, owner, state, detail, since, seen, expires"

func scanMember(scan func(...any) error) (Member, error) {
	var m Member
	var since, seen, expires int64
	err := scan(&m.Kind, &m.Name, &m.Cluster, &m.Host, &m.Owner, &m.State, &m.Detail, &since, &seen, &expires)
	m.Since, m.SeenAt, m.ExpiresAt = fromMicros(since), fromMicros(seen), fromMicros(expires)
	return m, err
}

// Heartbeat says that members are there, for at least ttl. Owner, Since,
// SeenAt and ExpiresAt are filled in; Since stays while the state does.
func (s *Store) Heartbeat(ctx context.Context, ttl time.Duration, members ...Member) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return s.failed(err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, m := range members {
		_, err := tx.ExecContext(ctx, s.rebind(`insert into members (`+memberColumns+`) values (?,?,?,?,?,?,?,?,?,?)
			on conflict (kind, name) do update set cluster=excluded.cluster, host=excluded.host, owner=excluded.owner, detail=excluded.detail,
			since=case when members.state=excluded.state then members.since else excluded.since end,
			state=excluded.state, seen=excluded.seen, expires=excluded.expires`),
			m.Kind, m.Name, m.Cluster, m.Host, s.self.String(), m.State, m.Detail, micros(now), micros(now), micros(now.Add(ttl)))
		if err != nil {
			return s.failed(err)
		}
	}
	return s.failed(tx.Commit())
}

// Members lists the members of a kind that are there, by name; "" is all
// kinds.
func (s *Store) Members(ctx context.Context, kind string) ([]Member, error) {
	now, err := s.now(ctx)
	if err != nil {
		return nil, err
	}
	return collect(ctx, s, scanMember, "select "+memberColumns+" from members where (kind=? or ?='') and expires>? order by kind, name", kind, kind, micros(now))
}

// Leave takes a member off the list before its time.
func (s *Store) Leave(ctx context.Context, kind, name string) error {
	_, err := s.exec(ctx, "delete from members where kind=? and name=?", kind, name)
	return err
}
