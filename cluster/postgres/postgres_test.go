package postgres

import (
	"crypto/tls"
	"os"
	"strings"
	"testing"
	"time"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/remote"
)

// The verifier of password "pencil" with the salt of RFC 7677, as PostgreSQL
// would store it; StoredKey and ServerKey were computed with pgcrypto.
const pencil = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

func TestVerifier(t *testing.T) {
	t.Parallel()
	if !matches(pencil, "pencil") {
		t.Error("the verifier of RFC 7677's example does not match its password")
	}
	for _, wrong := range []string{"Pencil", ""} {
		if matches(pencil, wrong) {
			t.Errorf("%q matches the verifier of pencil", wrong)
		}
	}
	for _, pw := range []string{"secret", "pässwörd", "with space and 'quotes'"} {
		v, err := verifier(pw)
		if err != nil || !matches(v, pw) {
			t.Errorf("verifier(%q) = %s, %v: does not match", pw, v, err)
		}
	}
	for _, broken := range []string{"", "md5abc", "SCRAM-SHA-256$x:y$z", "SCRAM-SHA-256$0:AAAA$A:B"} {
		if matches(broken, "pencil") {
			t.Errorf("%q matches", broken)
		}
	}
}

func TestSASLPrep(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"plain": "plain", "a\u00a0b": "a b", "I\u00adX": "IX", "\u2168": "IX", "\ufb01": "fi"} {
		if got := saslPrep(in); got != want {
			t.Errorf("saslPrep(%q) = %q, want %q", in, got, want)
		}
	}
}

func testEngine(t *testing.T, edit func(*cluster.Topology)) *Engine {
	t.Helper()
	top, err := cluster.Parse("c.yaml", []byte(cluster.Sample()))
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(top)
	}
	lay, err := cluster.Expand(top, nil)
	if err != nil {
		t.Fatal(err)
	}
	pool := remote.NewPool(remote.Options{})
	t.Cleanup(pool.Close)
	return New(Config{Fleet: hostprep.NewFleet(pool, top, lay, nil), UID: "u1", Run: "r1", Dir: t.TempDir()})
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	e := testEngine(t, nil)
	if err := e.makeCA(); err != nil {
		t.Fatal(err)
	}
	ca, err := e.loadCA()
	if err != nil {
		t.Fatal(err)
	}
	h := cluster.Host{Name: "db1", Address: "10.0.0.10", Interconnect: []string{"fd00::1", "db1.internal"}}
	file, err := ca.sign(h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(file, file); err != nil {
		t.Errorf("key and certificate of one file do not fit: %v", err)
	}
	if why := ca.valid(h, file); why != "" {
		t.Errorf("a fresh certificate is not valid: %s", why)
	}
	moved := h
	moved.Address = "10.0.0.11"
	if why := ca.valid(moved, file); why != "not for 10.0.0.11" {
		t.Errorf("after a change of address: %q", why)
	}
	other := testEngine(t, nil)
	if err := other.makeCA(); err != nil {
		t.Fatal(err)
	}
	ca2, err := other.loadCA()
	if err != nil {
		t.Fatal(err)
	}
	if why := ca2.valid(h, file); why != "signed by another CA" {
		t.Errorf("another CA: %q", why)
	}
	if why := ca.valid(h, []byte("junk")); why != "no certificate" {
		t.Errorf("junk: %q", why)
	}
}

func TestReplicationConninfoChecksTheServer(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{
		cluster.TLSSelfSigned: "sslmode=verify-ca sslrootcert='/var/lib/cw/dw1/n2/tls/root.crt'",
		cluster.TLSOff:        "sslmode=disable",
		cluster.TLSFiles:      "sslmode=require",
	} {
		e := testEngine(t, func(top *cluster.Topology) { top.TLS.Mode = mode })
		got := e.replicationConninfo(e.lay.Standbys()[0], e.lay.Primary())
		if !strings.HasSuffix(got, want) || !strings.Contains(got, "host='10.0.0.10' port=5432 user=cw_replication passfile='/var/lib/cw/dw1/n2/passfile' application_name=n2") {
			t.Errorf("%s: %s", mode, got)
		}
	}
}

func TestQuoting(t *testing.T) {
	t.Parallel()
	if got := confLine("x", `a'b\c`); got != `x = 'a''b\\c'`+"\n" {
		t.Errorf("confLine = %s", got)
	}
	if got := connValue(`a'b\c`); got != `'a\'b\\c'` {
		t.Errorf("connValue = %s", got)
	}
	if got := ident(`a"b`) + literal(`a'b`); got != `"a""b"'a''b'` {
		t.Errorf("ident and literal = %s", got)
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	lsn := func(n int64) *int64 { return &n }
	e := testEngine(t, nil)
	n := e.lay.Nodes
	primary := sight{node: n[0], proc: procReady, answer: &answer{Version: "15.18", LSN: lsn(1000), Senders: []sender{{Name: "n2", State: "streaming", Lag: lsn(10)}, {Name: "n3", State: "catchup", Lag: lsn(500)}}}}
	standby := func(i int) sight {
		return sight{node: n[i], proc: procReady, answer: &answer{Version: "15.18", Recovery: true, LSN: lsn(400)}}
	}
	dead := func(i int) sight { return sight{node: n[i], host: os.ErrDeadlineExceeded} }
	stopped := func(i int) sight { return sight{node: n[i], proc: procStopped} }
	alone := primary
	alone.answer = &answer{Version: "15.18", LSN: lsn(1000)}
	tests := []struct {
		name    string
		seen    []sight
		state   string
		problem string
	}{
		{"all well", []sight{primary, standby(1), standby(2)}, cluster.Up, ""},
		{"standby's host dead", []sight{primary, standby(1), dead(2)}, cluster.Degraded, "host db3 does not answer"},
		{"primary's host dead", []sight{dead(0), standby(1), standby(2)}, cluster.Degraded, "host db1 does not answer"},
		{"primary stopped", []sight{stopped(0), standby(1), standby(2)}, cluster.Degraded, "primary n1 on db1 is stopped"},
		{"not streaming", []sight{alone, standby(1), standby(2)}, cluster.Degraded, "standby n2 on db2 does not stream"},
		{"promoted by hand", []sight{primary, {node: n[1], proc: procReady, answer: &answer{LSN: lsn(1)}}, standby(2)}, cluster.Degraded, "standby n2 on db2 acts as a second primary"},
		{"all stopped", []sight{stopped(0), stopped(1), stopped(2)}, cluster.Down, "is stopped"},
		{"all dead", []sight{dead(0), dead(1), dead(2)}, cluster.Unknown, "does not answer"},
		{"recovering", []sight{{node: n[0], proc: procBusy}, standby(1), standby(2)}, cluster.Degraded, "starting, recovering or stopping"},
		{"removed", []sight{primary, {node: n[1], proc: procNone}, standby(2)}, cluster.Degraded, "has no data directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st := e.judge(tt.seen)
			if st.State != tt.state || !strings.Contains(strings.Join(st.Problems, "\n"), tt.problem) || (tt.problem == "") != (len(st.Problems) == 0) {
				t.Errorf("state %s, problems %q", st.State, st.Problems)
			}
			if time.Since(st.CheckedAt) > time.Minute {
				t.Errorf("checked at %v", st.CheckedAt)
			}
		})
	}
	st := e.judge(tests[0].seen)
	if *st.Nodes[1].LagBytes != 10 || *st.Nodes[2].LagBytes != 500 || st.Nodes[2].Mode != cluster.ModeCatchup || st.Nodes[0].LagBytes != nil {
		t.Errorf("nodes = %+v", st.Nodes)
	}
	st = e.judge(tests[4].seen)
	if *st.Nodes[1].LagBytes != 600 || st.Nodes[1].Mode != cluster.ModeDetached {
		t.Errorf("a detached standby: %+v", st.Nodes[1])
	}
}
