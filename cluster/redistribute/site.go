package redistribute

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// site is the world as the controller sees it. A test has one without a
// database.
type site interface {
	survey(ctx context.Context) (scene, error)
	// orders, list, add, note, free and lag go through the session that holds
	// the lock. When it is lost they fail until it is taken again.
	orders(ctx context.Context) (orders, error)
	list(ctx context.Context, tables []Table) error
	add(ctx context.Context, tables []Table) error
	note(ctx context.Context, tables []Table, c control) error
	free(ctx context.Context) (int, error)
	lag(ctx context.Context) (int64, error)
	look(ctx context.Context) ([]Host, error)
	// move moves units of one database one by one and tells what became of each.
	// Its own error says that the session was lost.
	move(ctx context.Context, database string, units []*unit, each func(i int, said string, err error)) error
}

// sqlSite is a Cluster.
type sqlSite struct {
	c    Cluster
	o    Options
	down bool
	*book

	mu   sync.Mutex
	idle map[string][]Session // by database
}

func (s *sqlSite) survey(ctx context.Context) (scene, error) { return survey(ctx, s.c, s.o) }

func (s *sqlSite) look(ctx context.Context) ([]Host, error) { return s.c.Look(ctx) }

// orders takes the lock again when its session was lost.
func (s *sqlSite) orders(ctx context.Context) (orders, error) {
	o, err := s.book.orders(ctx)
	var said *StatementError
	if err == nil || errors.As(err, &said) || ctx.Err() != nil {
		return o, err
	}
	again, oerr := openBook(ctx, s.c, s.o.Target, s.down, s.o.By)
	if oerr != nil {
		return o, errors.Join(err, oerr)
	}
	s.close()
	s.book = again
	return s.book.orders(ctx)
}

func (s *sqlSite) move(ctx context.Context, database string, units []*unit, each func(i int, said string, err error)) error {
	session, err := s.session(ctx, database)
	if err != nil {
		return err
	}
	statements := make([]string, 0, 2*len(units))
	step := 1
	if s.o.Analyze {
		step = 2
	}
	for _, u := range units {
		statements = append(statements, moveOf(u, s.o.Target, s.down))
		if s.o.Analyze {
			statements = append(statements, analyzeOf(u))
		}
	}
	var reset error
	err = session.Exec(ctx, statements, func(i int, out string, err error) {
		if wasReset(err) {
			reset = fmt.Errorf("the session lost its segments: %w", err)
		}
		if i%step == 0 && reset == nil { // a table without statistics is moved all the same
			each(i/step, out, err)
		}
	})
	if err == nil {
		err = reset
	}
	if err != nil {
		session.Close()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle[database] = append(s.idle[database], session)
	return nil
}

// wasReset says whether a session has lost its temporary schema, and with it
// the functions that move tables: so the server does when a segment went away
// under it (cdbgang.c, resetSessionForPrimaryGangLoss).
func wasReset(err error) bool {
	var e *StatementError
	return errors.As(err, &e) && (e.Code == "3F000" && strings.Contains(e.Message, "pg_temp") || e.Code == "42883" && strings.Contains(e.Message, "pg_temp.cw_"))
}

// session is an idle session of the database, or a new one in place of one of
// another database.
func (s *sqlSite) session(ctx context.Context, database string) (Session, error) {
	s.mu.Lock()
	var old Session
	if list := s.idle[database]; len(list) > 0 {
		s.idle[database] = list[:len(list)-1]
		s.mu.Unlock()
		return list[len(list)-1], nil
	}
	for name, list := range s.idle {
		if len(list) > 0 {
			old, s.idle[name] = list[len(list)-1], list[:len(list)-1]
			break
		}
	}
	s.mu.Unlock()
	if old != nil {
		old.Close()
	}
	session, err := s.c.Open(ctx, database)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", database, err)
	}
	if err := prepare(ctx, session, s.o.LockTimeout); err != nil {
		session.Close()
		return nil, err
	}
	return session, nil
}

func (s *sqlSite) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range s.idle {
		for _, session := range list {
			session.Close()
		}
	}
	s.idle = map[string][]Session{}
	s.close()
}
