package labtest

import (
	"fmt"
	"strings"
	"testing"

	"cw/cluster"
	"cw/fault"
)

// handMade builds a primary on host 1 and a replica on host 2 as somebody
// without cw would: a role, a slot and a password of their own, the primary's
// configuration outside of its data directory as Debian has it, its port on
// the command line.
func handMade(s *site) {
	s.t.Helper()
	sh := func(i int, script string) {
		s.t.Helper()
		s.Run(i, "runuser", "-u", "postgres", "--", "sh", "-ec", script)
	}
	for _, i := range []int{1, 2} {
		s.Run(i, "install", "-d", "-o", "postgres", "/srv/pg", "/srv/sock", "/srv/etc")
	}
	sh(1, fmt.Sprintf(`cd /srv/pg; %[1]s/initdb -D main -A peer >/dev/null
mv main/postgresql.conf main/pg_hba.conf main/pg_ident.conf /srv/etc/
cat >>/srv/etc/postgresql.conf <<EOF
data_directory = '/srv/pg/main'
hba_file = '/srv/etc/pg_hba.conf'
ident_file = '/srv/etc/pg_ident.conf'
listen_addresses = '*'
unix_socket_directories = '/srv/sock'
wal_log_hints = on
wal_keep_size = 256MB
EOF
echo 'host replication repl 10.77.0.0/16 scram-sha-256' >>/srv/etc/pg_hba.conf
%[1]s/pg_ctl start -s -w -D main -l /srv/pg/log -o '-c config_file=/srv/etc/postgresql.conf -p 5544'
echo "create role repl replication login password 'it''s \\secret'; select pg_create_physical_replication_slot('replica_a'); create table t as select generate_series(1,1000) n" |
%[1]s/psql -Xq -v ON_ERROR_STOP=1 -h /srv/sock -p 5544 >/dev/null`, s.bin))
	sh(2, fmt.Sprintf(`cd /srv/pg
%[1]s/pg_basebackup -R -S replica_a -D main -d "host=%[2]s port=5544 user=repl password='it\\'s \\\\secret'"
cp /dev/null main/pg_hba.conf; echo 'local all all peer
host replication repl 10.77.0.0/16 scram-sha-256' >main/pg_hba.conf
echo "listen_addresses = '*'
wal_log_hints = on
wal_keep_size = 256MB
port = 5545
unix_socket_directories = '/srv/sock'" >>main/postgresql.conf
printf '' >main/pg_ident.conf
ls main/postgresql.conf >/dev/null
%[1]s/pg_ctl start -s -w -D main -l /srv/pg/log`, s.bin, s.Hosts[0].Addr))
}

func TestAdoptAClusterMadeByHand(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	handMade(s)
	o := cluster.AdoptOptions{Name: "lab", Address: s.Hosts[0].Addr, Port: 5432, SSH: s.ssh()}
	_, err := s.m.Adopt(t.Context(), o)
	if fault.KindOf(err) != fault.Check || !strings.Contains(err.Error(), "5544") {
		t.Errorf("a wrong port: %v", err)
	}
	o.Address, o.Port = s.Hosts[1].Addr, 5545
	_, err = s.m.Adopt(t.Context(), o)
	if fault.KindOf(err) != fault.Usage || !strings.Contains(fault.HintOf(err), fmt.Sprintf("cw cluster adopt %s:5544", s.Hosts[0].Addr)) {
		t.Errorf("a standby: %v\nhint: %s", err, fault.HintOf(err))
	}
	o.Address, o.Port = s.Hosts[0].Addr, 5544
	op, err := s.m.Adopt(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	nodes := op.Found.Layout.Nodes
	if len(nodes) != 2 || nodes[0].ConfigFile != "/srv/etc/postgresql.conf" || nodes[0].Socket != "/srv/sock" || nodes[0].DataDir != "/srv/pg/main" || nodes[0].Host != "db1" ||
		nodes[1].Port != 5545 || nodes[1].Slot != "replica_a" || nodes[1].ConfigFile != "" || nodes[1].Role != cluster.NodeStandby || len(op.Found.Notes) > 0 {
		t.Fatalf("found %+v, notes %q", nodes, op.Found.Notes)
	}
	if _, _, err := s.m.Topology(t.Context(), "lab"); err == nil {
		t.Error("looking at it has stored it")
	}
	pid := s.Run(1, "head", "-n", "1", "/srv/pg/main/postmaster.pid")
	s.run(op, nil)
	if now := s.Run(1, "head", "-n", "1", "/srv/pg/main/postmaster.pid"); now != pid {
		t.Error("adopting has restarted the server")
	}
	st := s.want(cluster.Up)
	if st.Nodes[1].Mode != cluster.ModeStreaming || st.Nodes[1].LagBytes == nil || st.Endpoint.Port != 5544 {
		t.Errorf("status = %+v", st)
	}
	if _, err := s.m.Adopt(t.Context(), cluster.AdoptOptions{Name: "other", Address: o.Address, Port: o.Port, SSH: o.SSH}); fault.KindOf(err) != fault.Usage {
		t.Errorf("adopted twice: %v", err)
	}

	// Every verb works on it.
	s.run(s.m.Stop(t.Context(), "lab", cluster.Fast))
	s.want(cluster.Down)
	s.run(s.m.Start(t.Context(), "lab"))
	s.want(cluster.Up)
	s.run(s.m.Restart(t.Context(), "lab", cluster.Fast))
	s.run(s.m.Configure(t.Context(), "lab", cluster.ConfigChange{Set: map[string]string{"work_mem": "9MB"}}))
	if got := s.sql(2, "show work_mem"); got != "9MB" {
		t.Errorf("work_mem = %s", got)
	}
	all, err := s.m.Settings(t.Context(), "lab", []string{"primary_conninfo"})
	if err != nil || strings.Contains(fmt.Sprint(all), "secret") || !strings.Contains(all[1].Value, "user=") {
		t.Errorf("settings = %+v %v", all, err)
	}
	s.Run(2, "runuser", "-u", "postgres", "--", s.bin+"/pg_ctl", "stop", "-s", "-m", "immediate", "-D", "/srv/pg/main")
	s.run(s.m.Recover(t.Context(), "lab", cluster.RecoverOptions{}))
	s.want(cluster.Up)
	s.run(s.m.Recover(t.Context(), "lab", cluster.RecoverOptions{Hosts: []string{"db2"}, Full: true}))
	s.want(cluster.Up)
	if got := s.sql(2, "show port"); got != "5545" {
		t.Errorf("a copy has port %s", got)
	}

	// A switchover and back: the old primary follows with what the standby had.
	s.run(s.m.Promote(t.Context(), "lab", cluster.PromoteOptions{}))
	s.want(cluster.Up)
	s.sql(2, "insert into t values (0)")
	s.eventually(1, "select count(*) from t", "1001")
	if got := s.sql(1, "select count(*) from pg_replication_slots"); got != "0" {
		t.Errorf("the old primary has %s slots", got)
	}
	s.run(s.m.Promote(t.Context(), "lab", cluster.PromoteOptions{}))
	s.want(cluster.Up)
	s.eventually(2, "select count(*) from t", "1001")

	// The primary's host loses its power and comes back.
	s.Off(1)
	s.run(s.m.Promote(t.Context(), "lab", cluster.PromoteOptions{Force: true}))
	s.On(1)
	// Its role may not do what pg_rewind needs, which is said, and a copy made.
	back, _ := s.run(s.m.Recover(t.Context(), "lab", cluster.RecoverOptions{}))
	if text := strings.Join(back.Left, "\n"); !strings.Contains(text, "n1 on db1 was copied anew: pg_rewind could not be used") {
		t.Errorf("left = %q", back.Left)
	}
	s.want(cluster.Up)
	s.sql(2, "insert into t values (0)")
	s.eventually(1, "select count(*) from t", "1002")

	if logs, err := s.m.Logs(t.Context(), "lab", nodes, 20); err != nil || logs[0].Err != nil || !strings.Contains(logs[0].Text, "LOG:") {
		t.Errorf("logs = %+v %v", logs, err)
	}
	s.Run(1, "touch", "/srv/pg/mine")
	out, _ := s.run(s.m.Shrink(t.Context(), "lab", []string{"db1"}))
	if text := strings.Join(out.Left, "\n"); !strings.Contains(text, "/srv/etc/postgresql.conf") {
		t.Errorf("left = %q", out.Left)
	}
	if st := s.want(cluster.Up); len(st.Nodes) != 1 || s.sql(2, "select count(*) from pg_replication_slots") != "0" {
		t.Errorf("after shrink: %+v", st.Nodes)
	}
	s.run(s.m.Delete(t.Context(), "lab"))
	for _, i := range []int{1, 2} {
		if left := strings.Fields(s.Run(i, "ls", "-A", "/srv/pg")); strings.Join(left, " ") != map[int]string{1: "log mine", 2: "log"}[i] {
			t.Errorf("host %d still has %q", i, left)
		}
	}
}

// A data directory that is no longer the one that was adopted is not removed.
func TestDeleteOfAnAdoptedClusterChecksWhatItRemoves(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.Run(1, "install", "-d", "-o", "postgres", "/srv/pg")
	initdb := func() {
		s.Run(1, "runuser", "-u", "postgres", "--", "sh", "-ec", "cd /srv/pg; "+s.bin+"/initdb -D main -A peer >/dev/null; "+s.bin+"/pg_ctl start -s -w -D main -l log -o '-k /srv/pg'")
	}
	initdb()
	s.run(s.m.Adopt(t.Context(), cluster.AdoptOptions{Name: "lab", Address: s.Hosts[0].Addr, Port: 5432, SSH: s.ssh(), OSUser: "postgres"}))
	s.want(cluster.Up)
	s.run(s.m.Stop(t.Context(), "lab", cluster.Fast))
	s.Run(1, "rm", "-r", "/srv/pg/main")
	initdb()
	op, err := s.m.Delete(t.Context(), "lab")
	if err != nil {
		t.Fatal(err)
	}
	_, err = op.Run(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "/srv/pg/main") {
		t.Errorf("delete: %v", err)
	}
	if _, err := s.Try(1, "test", "-f", "/srv/pg/main/PG_VERSION"); err != nil {
		t.Error("another database was removed")
	}
}
