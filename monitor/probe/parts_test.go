package probe

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"cw/monitor"
	"cw/monitor/inspect"
	"cw/state"
)

// growing are samples every ten minutes up to now, from a share on by a share
// a day, with noise, and a nightly clean-up.
func growing(span time.Duration, from, perDay float64) (used, sizes []state.Sample) {
	rnd := mathrand.New(mathrand.NewPCG(1, 2))
	const size = 1e12
	for at := now.Add(-span); !at.After(now); at = at.Add(10 * time.Minute) {
		v := from + perDay*at.Sub(now.Add(-span)).Hours()/24 + 0.004*rnd.Float64()
		if at.Hour() == 3 {
			v -= 0.02
		}
		used = append(used, state.Sample{Cluster: "dw", Host: "db1", Object: "/data", At: at, Value: v * size})
	}
	return used, []state.Sample{{Cluster: "dw", Host: "db1", Object: "/data", At: now, Value: size}}
}

func TestForecast(t *testing.T) {
	t.Parallel()
	join := func(a, b []state.Sample) []state.Sample { return append(slices.Clone(a), b...) }
	for name, c := range map[string]struct {
		span         time.Duration
		from, perDay float64
		want         string // severity, or blind
		says         string
	}{
		"two days left":         {4 * 24 * time.Hour, 0.36, 0.1, state.Warning, "will be full in 2.4 days: it is 76 % full and grows by"},
		"half a day left":       {2 * 24 * time.Hour, 0.3, 0.3, state.Critical, "hours"},
		"ten days left":         {4 * 24 * time.Hour, 0.2, 0.05, "", ""},
		"still":                 {4 * 24 * time.Hour, 0.8, 0, "", ""},
		"shrinks":               {4 * 24 * time.Hour, 0.9, -0.1, "", ""},
		"too little history":    {5 * time.Hour, 0.5, 0.3, "blind", ""},
		"far beyond its past":   {6 * time.Hour, 0.5, 0.11, "", ""}, // in 4.5 days: not within 12 times its past
		"full already, growing": {2 * 24 * time.Hour, 0.5, 0.26, "blind", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			used, sizes := growing(c.span, c.from, c.perDay)
			other, otherSizes := growing(24*time.Hour, 0.1, 0)
			for i := range other {
				other[i].Host = "db2"
			}
			otherSizes[0].Host = "db2"
			found, blind := Forecast("dw", join(used, other), join(sizes, otherSizes), rules, now)
			switch {
			case c.want == "blind":
				if len(found) != 0 || len(blind) != 1 || blind[0].Host != "db1" {
					t.Errorf("found %+v blind %+v", found, blind)
				}
			case c.want == "":
				if len(found)+len(blind) != 0 {
					t.Errorf("found %+v blind %+v", found, blind)
				}
			case len(found) != 1 || found[0].Severity != c.want || !strings.Contains(found[0].Message, c.says) || found[0].Object != "/data" || found[0].Host != "db1":
				t.Errorf("found %+v, want %s %q", found, c.want, c.says)
			}
		})
	}
	used, _ := growing(48*time.Hour, 0.5, 0.2)
	if found, blind := Forecast("dw", used, nil, rules, now); len(found) != 0 || len(blind) != 1 {
		t.Errorf("without a size: %+v %+v", found, blind)
	}
	_, sizes := growing(time.Hour, 0, 0)
	if _, blind := Forecast("dw", used, sizes, rules, now.Add(2*time.Hour)); len(blind) != 1 {
		t.Error("old samples were gone on from")
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	j := &Jobs{Since: now}
	at := func(d time.Duration, jobs ...state.Job) string {
		var out []string
		found, blind := j.Look(jobs, rules, now.Add(d))
		for _, b := range blind {
			out = append(out, "blind "+b.Job)
		}
		for _, c := range found {
			if c.Job == "" || c.Remedy == "" || c.Cluster != "" {
				t.Errorf("%+v", c)
			}
			text := c.Rule + " " + c.Job
			if !c.Since.IsZero() {
				text += " since " + c.Since.Sub(now).String()
			}
			out = append(out, text)
		}
		return strings.Join(out, ", ")
	}
	old := state.Job{ID: "l1", Kind: "load", State: state.Failed, FinishedAt: now.Add(-time.Second)}
	failed := state.Job{ID: "l2", Kind: "load", State: state.Failed, FinishedAt: now.Add(time.Second), Error: "no space\nmore"}
	runs := state.Job{ID: "l3", Kind: "load", State: state.Running, UpdatedAt: now}
	runs.Bytes = 100
	more := runs
	more.Bytes = 200
	paused, slow := runs, runs
	paused.State = state.Paused
	slow.Limit = 10
	if got := at(0, old, failed, runs); got != "blind l3, load.failed l2" {
		t.Error(got)
	}
	if got := at(30*time.Second, runs); got != "blind l3" {
		t.Error(got)
	}
	j.Known = map[string]bool{"l1": true}
	if got := at(31*time.Second, old, runs); got != "blind l3, load.failed l1" {
		t.Error(got)
	}
	if got := at(2*time.Minute, runs); got != "load.stalled l3 since 0s" {
		t.Error(got)
	}
	if got := at(3*time.Minute, paused); got != "" {
		t.Error(got)
	}
	if got := at(4*time.Minute, runs) + at(10*time.Minute, slow); strings.Contains(got, "10m") {
		t.Error(got)
	}
	if got := at(11*time.Minute, more); got != "" {
		t.Error(got)
	}
	if got := at(20*time.Minute, more); got != "load.stalled l3 since 11m0s" {
		t.Error(got)
	}
	// With the tracker: ten minutes without a byte, not nine.
	tr := monitor.NewTracker(rules)
	j = &Jobs{}
	fired := time.Duration(0)
	for d := time.Duration(0); d < 15*time.Minute && fired == 0; d += 5 * time.Second {
		found, blind := j.Look([]state.Job{runs}, rules, now.Add(d))
		if len(tr.Observe(now.Add(d), monitor.Look{Rules: JobRules(), Every: 10 * time.Second, Found: found, Blind: blind})) > 0 {
			fired = d
		}
	}
	if fired != 10*time.Minute {
		t.Errorf("fired after %s", fired)
	}
}

// tlsServer speaks PostgreSQL's first words and then TLS, or says no.
func tlsServer(t *testing.T, says byte, left time.Duration) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: now.Add(left)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				var ask [8]byte
				if _, err := io.ReadFull(c, ask[:]); err != nil || fmt.Sprintf("%x", ask) != "0000000804d2162f" {
					return
				}
				if _, err := c.Write([]byte{says}); err != nil || says != 'S' {
					return
				}
				_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}).Handshake()
			}()
		}
	}()
	return l.Addr().String()
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	const days = 24 * time.Hour
	for left, want := range map[time.Duration]string{
		100 * days: "", 22 * days: "", 20 * days: state.Warning + " runs out on", 2 * days: state.Critical + " runs out on", -2 * days: state.Critical + " ran out on",
	} {
		c, err := net.Dial("tcp", tlsServer(t, 'S', left))
		if err != nil {
			t.Fatal(err)
		}
		chain, err := Certificates(t.Context(), c)
		_ = c.Close()
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range Expiry("dw", "10.0.0.1:5432", chain, rules, now) {
			severity, text, _ := strings.Cut(want, " ")
			if f.Severity == severity && strings.Contains(f.Message, text) && f.Object != "" {
				got = want
			} else {
				got = fmt.Sprintf("%+v", f)
			}
		}
		if got != want {
			t.Errorf("%s left: %s, want %q", left, got, want)
		}
	}
	if Expiry("dw", "x", nil, rules, now) != nil {
		t.Error("no certificate runs out")
	}
	c, err := net.Dial("tcp", tlsServer(t, 'N', time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := Certificates(t.Context(), c); !errors.Is(err, errNoTLS) {
		t.Errorf("a server without TLS: %v", err)
	}
	// One that says nothing holds nobody up.
	here, there := net.Pipe()
	defer func() { _ = there.Close() }()
	go func() { _, _ = io.Copy(io.Discard, there) }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Certificates(ctx, here); err == nil {
		t.Error("an answer of nobody")
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	r := &inspect.Result{
		Findings: []inspect.Finding{
			{Rule: "age.transaction", Title: "Transactions that have been open for long", Severity: inspect.Critical, Object: "pid 7", Text: "9h", Remedy: "cw cluster status CLUSTER"},
			{Rule: "own", Title: "XYZ", Severity: inspect.Notice, Database: "shop", Object: "a"},
			{Rule: "age.transaction", Title: "Transactions that have been open for long", Severity: inspect.Warning, Object: "pid 8", Text: "2h"},
			{Rule: "age.transaction", Severity: inspect.Warning, Object: "pid 9"},
			{Rule: "age.transaction", Severity: inspect.Warning, Object: "pid 10"},
		},
		Omitted: []inspect.Omitted{{Rule: "wal.archive", Reason: "no"}},
	}
	found, blind := Findings("dw", r)
	if len(found) != 2 || len(blind) != 1 || blind[0].Rule != "inspect.wal.archive" {
		t.Fatalf("%+v %+v", found, blind)
	}
	if f := found[0]; f.Rule != "inspect.age.transaction" || f.Severity != state.Critical || f.Message != "cluster dw, transactions that have been open for long: pid 7 (9h); pid 8 (2h); pid 9; 1 more" || f.Remedy != "cw cluster status dw" {
		t.Errorf("%+v", f)
	}
	if f := found[1]; f.Object != "shop" || f.Severity != state.Warning || f.Message != "database shop of cluster dw, XYZ: a" {
		t.Errorf("%+v", f)
	}
	all, err := inspect.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	half := 0.5
	own := monitor.Config{Rules: map[string]monitor.RuleChange{"inspect.wal.archive": {Off: true}, "inspect.connection.limit": {Warn: &half}}}.Rule
	names := map[string]inspect.Rule{}
	for _, r := range Inspections(all, own) {
		names[r.Name] = r
	}
	for _, want := range []string{"age.wraparound", "age.transaction", "age.prepared", "replication.slot", "connection.limit", "age.segment_wraparound"} {
		if _, ok := names[want]; !ok {
			t.Errorf("%s is not watched", want)
		}
	}
	if _, ok := names["wal.archive"]; ok || len(names) > 12 || *names["connection.limit"].Warn != 0.5 || *names["connection.limit"].Critical != 0.95 {
		t.Errorf("%d rules, connection.limit %+v", len(names), names["connection.limit"])
	}
}
