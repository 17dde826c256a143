package main_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A real cluster, seen and acted on through the dashboard: who blocks whom,
// and C that ends it; a load whose limit is turned; a standby that dies.
func TestTopLive(t *testing.T) {
	t.Parallel()
	needTmux(t)
	u := newUser(t)
	topology, _ := u.playground(2)
	u.must("cluster", "create", "-f", topology, "--yes")
	s := u.screen(140, 40, nil, "top")
	s.shows("● up", "nodes 2/2")
	u.blockedSession(t, s)
	u.slowedLoad(t, s)
	u.deadStandby(t, s)
	s.keys("q")
	s.ends(0)
}

// database connects to the cluster as its administrator.
func (u *user) database(t *testing.T) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), u.dsn(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(t.Context()) })
	return c
}

func (u *user) dsn(t *testing.T) string {
	t.Helper()
	var st struct {
		Endpoint struct {
			Host, Database, User string
			Port                 int
			PasswordFile         string `json:"password_file"`
		}
	}
	u.read(&st, "cluster", "status", "play")
	password, err := os.ReadFile(st.Endpoint.PasswordFile)
	if err != nil {
		t.Fatal(err)
	}
	e := st.Endpoint
	return fmt.Sprintf("host=%s port=%d dbname=%s user=%s password=%s sslmode=prefer", e.Host, e.Port, e.Database, e.User, strings.TrimSpace(string(password)))
}

func (u *user) blockedSession(t *testing.T, s *screen) {
	admin, holder, waiter := u.database(t), u.database(t), u.database(t)
	if _, err := admin.Exec(t.Context(), "create table locked (id int primary key, n int); insert into locked values (1, 0)"); err != nil {
		t.Fatal(err)
	}
	pid := strconv.Itoa(int(holder.PgConn().PID()))
	held, freed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := holder.Exec(t.Context(), "begin; update locked set n = 1; select pg_sleep(300)")
		held <- err
	}()
	waitUntil(t, "the lock", func() bool {
		var n int
		err := admin.QueryRow(t.Context(), "select count(*) from pg_locks where pid = $1 and mode = 'RowExclusiveLock'", holder.PgConn().PID()).Scan(&n)
		return err == nil && n > 0
	})
	go func() {
		_, err := waiter.Exec(t.Context(), "update locked set n = 2")
		freed <- err
	}()
	began := time.Now()
	s.keys("5")
	s.keys("F3") // those that block others
	s.until("the session that blocks, alone", func(text string) bool {
		return strings.Contains(text, pid) && strings.Contains(text, "blocking") && strings.Contains(text, "1 of ")
	})
	t.Logf("seen after %s", time.Since(began).Round(100*time.Millisecond))
	s.keys("C")
	s.shows("[Cancel]", pid)
	s.keys("Right")
	s.keys("Enter")
	for what, ch := range map[string]chan error{"the query that held the lock": held, "the query that waited": freed} {
		select {
		case err := <-ch:
			var refused *pgconn.PgError
			if what == "the query that waited" && err != nil || what != "the query that waited" && (!errors.As(err, &refused) || refused.Code != "57014") {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s goes on; the screen is\n%s", what, s.text())
		}
	}
	if got := u.must("events", "--type", "action", "-o", "csv"); !strings.Contains(got, pid) {
		t.Errorf("no event of the action: %s", got)
	}
}

func (u *user) slowedLoad(t *testing.T, s *screen) {
	admin := u.database(t)
	if _, err := admin.Exec(t.Context(), "create table loaded (id bigint, word text)"); err != nil {
		t.Fatal(err)
	}
	writeRows(t, filepath.Join(u.home, "rows.csv"), 400_000)
	cfg := admin.Config()
	writeFile(t, filepath.Join(u.home, "load.yaml"), fmt.Sprintf("VERSION: 1.0.0.1\nHOST: %s\nPORT: %d\nUSER: %s\nPASSWORD: %s\nDATABASE: %s\nGPLOAD:\n  INPUT:\n    - SOURCE: {FILE: [%s]}\n    - FORMAT: csv\n  OUTPUT: [{TABLE: loaded}]\n",
		cfg.Host, cfg.Port, cfg.User, cfg.Password, cfg.Database, filepath.Join(u.home, "rows.csv")))
	u.must("load", "run", filepath.Join(u.home, "load.yaml"), "--limit", "100kB/s", "--detach", "-q")
	job := u.await("running")
	s.keys("4")
	s.shows(job, "100kB/s")
	s.keys("{")
	s.shows("▸ "+job, "90kB/s")
	waitUntil(t, "the new limit", func() bool {
		var jobs struct{ Items []struct{ Limit int64 } }
		u.read(&jobs, "load", "list")
		return jobs.Items[0].Limit == 90_000
	})
	if got := u.must("events", "--job", job, "--type", "limit-changed", "-o", "csv"); !strings.Contains(got, "from 100kB/s to 90kB/s by ") {
		t.Errorf("events: %s", got)
	}
	s.keys("p")
	u.await("paused")
	s.shows("paused")
	s.keys("p")
	u.await("running")
	s.keys("x")
	s.shows("[Cancel]", job)
	s.keys("Right")
	s.keys("Enter")
	u.await("cancelled")
}

func (u *user) deadStandby(t *testing.T, s *screen) {
	var st struct {
		Nodes []struct {
			Role    string
			DataDir string `json:"data_dir"`
		}
	}
	u.read(&st, "cluster", "status", "play")
	data, err := os.ReadFile(filepath.Join(st.Nodes[1].DataDir, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil || st.Nodes[1].Role != "standby" {
		t.Fatalf("%v %+v", err, st)
	}
	s.keys("2")
	s.shows("streaming")
	began := time.Now()
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil { // an immediate stop
		t.Fatal(err)
	}
	s.until("a standby that is not well", func(text string) bool { return strings.Contains(text, "degraded") })
	t.Logf("seen after %s", time.Since(began).Round(100*time.Millisecond))
	waitUntil(t, "the event", func() bool {
		return strings.Contains(u.must("events", "--severity", "warning", "--type", "fault,state-changed", "-o", "csv"), "play")
	})
	if a := u.cw("top", "play", "--once", "--exit-code"); a.code != 8 || !strings.Contains(a.out, "play is DEGRADED") {
		t.Errorf("exit code %d\n%s%s", a.code, a.out, a.errOut)
	}
	u.must("cluster", "recover", "play", "--yes")
	s.shows("● up", "nodes 2/2")
}
