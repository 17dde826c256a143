package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"cw/monitor"
	"cw/state"
	"cw/tui/source"
)

// nasty is what a value of a label may be.
const nasty = "a\"b\\c\nd{}=,#é\xff"

func sampleView(now time.Time) View {
	lag := int64(4096)
	shot := func(name string) *source.Snapshot {
		return &source.Snapshot{
			At:      now,
			Cluster: source.ClusterInfo{Name: name, Engine: "postgres", State: "degraded", StartedAt: now.Add(-time.Hour)},
			Nodes: source.Nodes{Items: []source.Node{
				{ID: "p", Role: "primary", PreferredRole: "primary", State: "up", Host: "h1"},
				{ID: "r1", Role: "replica", PreferredRole: "replica", State: "up", Mode: "streaming", Host: "h2", LagBytes: &lag},
				{ID: "r2", Role: "replica", PreferredRole: "primary", State: "down", Host: nasty},
			}},
			Hosts: source.Hosts{Items: []source.Host{
				{Name: "h1", SampledAt: now.Add(-time.Second), CPUs: 4, User: 0.25, MemTotal: 8 << 30, MemUsed: 3 << 30, Mounts: []source.Mount{{Path: "/data", Size: 100, Used: 42}, {Path: nasty, Size: 1, Used: 1}}},
				{Name: "h2", SampledAt: now.Add(-time.Hour), CPUs: 4},
				{Name: "h3", Err: "no route to host"},
			}},
			Sessions: source.Sessions{Section: source.Section{CollectedAt: now}, Items: []source.Session{
				{PID: 1, State: "active", XactStart: now.Add(-90 * time.Second)}, {PID: 2, State: "idle"}, {PID: 3, State: "active", BlockedBy: []int{1}},
			}},
		}
	}
	return View{
		Leading: true, Since: now.Add(-time.Minute), LookedAt: now.Add(-2 * time.Second),
		Clusters: []*source.Snapshot{shot("dw1"), shot(nasty)},
		Jobs: []state.Job{
			{ID: "l1", Kind: "load", Target: "db.t", State: state.Running, Progress: state.Progress{Bytes: 1 << 40, BytesTotal: 1 << 41, Rows: 7, Rejected: 2, Rate: 1000, Limit: 2000}},
			{ID: "l2", Kind: "unload", Target: nasty, State: state.Done, Progress: state.Progress{Bytes: 5}},
		},
		Alerts: []state.Alert{
			{ID: "a1", Rule: monitor.NodeDown, Severity: state.Warning, Cluster: "dw1"},
			{ID: "a2", Rule: monitor.NodeDown, Severity: state.Warning, Cluster: "dw1"},
			{ID: "a3", Rule: monitor.DiskFull, Severity: state.Critical, Cluster: nasty},
		},
		Notices: []monitor.NoticeCount{{Receiver: "ops", Result: state.Sent, N: 3}, {Receiver: nasty, Result: state.GivenUp, N: 1}},
	}
}

// scrape reads a page as Prometheus does.
func scrape(t *testing.T, text string) map[string]*dto.MetricFamily {
	t.Helper()
	var p expfmt.TextParser
	out, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// value is that of the series whose labels are all given.
func value(t *testing.T, all map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, m := range all[name].GetMetric() {
		found := 0
		for _, l := range m.GetLabel() {
			for i := 0; i+1 < len(labels); i += 2 {
				if l.GetName() == labels[i] && l.GetValue() == labels[i+1] {
					found++
				}
			}
		}
		if found*2 == len(labels) {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return math.NaN()
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(body)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := NewBoard()
	b.Now = func() time.Time { return now }
	b.Set(sampleView(now))
	code, text := get(t, b.Handler(), "/metrics")
	if code != http.StatusOK {
		t.Fatal(code)
	}
	all := scrape(t, text)
	odd := strings.ToValidUTF8(nasty, "\uFFFD")
	for _, c := range []struct {
		want float64
		name string
		with []string
	}{
		{1, "cw_monitor_leading", nil},
		{60, "cw_monitor_role_age_seconds", nil},
		{2, "cw_monitor_probe_age_seconds", nil},
		{1, "cw_monitor_store_up", nil},
		{2, "cw_alerts_firing", []string{"rule", "node.down", "severity", "warning", "cluster", "dw1"}},
		{1, "cw_alerts_firing", []string{"cluster", odd}},
		{3, "cw_notices_total", []string{"receiver", "ops", "result", "sent"}},
		{1, "cw_notices_total", []string{"receiver", odd, "result", "failed"}},
		{1, "cw_cluster_up", []string{"cluster", "dw1", "engine", "postgres"}},
		{1, "cw_cluster_state", []string{"cluster", odd, "state", "degraded"}},
		{0, "cw_cluster_state", []string{"cluster", "dw1", "state", "up"}},
		{float64(now.Add(-time.Hour).Unix()), "cw_cluster_start_time_seconds", []string{"cluster", "dw1"}},
		{1, "cw_node_up", []string{"cluster", "dw1", "node", "r1", "host", "h2", "role", "replica"}},
		{0, "cw_node_up", []string{"cluster", "dw1", "node", "r2", "host", odd}},
		{0, "cw_node_in_preferred_role", []string{"cluster", "dw1", "node", "r2"}},
		{1, "cw_node_in_sync", []string{"cluster", "dw1", "node", "r1"}},
		{0, "cw_node_in_sync", []string{"cluster", "dw1", "node", "r2"}},
		{math.NaN(), "cw_node_in_sync", []string{"cluster", "dw1", "node", "p"}},
		{4096, "cw_replication_lag_bytes", []string{"cluster", "dw1", "node", "r1"}},
		{math.NaN(), "cw_replication_lag_bytes", []string{"cluster", "dw1", "node", "r2"}}, // not known is not 0
		{1, "cw_host_up", []string{"cluster", "dw1", "host", "h1"}},
		{0, "cw_host_up", []string{"cluster", "dw1", "host", "h2"}},
		{0, "cw_host_up", []string{"cluster", "dw1", "host", "h3"}},
		{math.NaN(), "cw_host_cpus", []string{"cluster", "dw1", "host", "h2"}}, // too old to be shown
		{0.25, "cw_host_cpu_ratio", []string{"cluster", "dw1", "host", "h1", "mode", "user"}},
		{8 << 30, "cw_host_memory_size_bytes", []string{"cluster", "dw1", "host", "h1"}},
		{42, "cw_disk_used_bytes", []string{"cluster", "dw1", "host", "h1", "mount", "/data"}},
		{100, "cw_disk_size_bytes", []string{"cluster", odd, "host", "h1", "mount", "/data"}},
		{1, "cw_disk_used_bytes", []string{"cluster", "dw1", "host", "h1", "mount", odd}},
		{2, "cw_sessions", []string{"cluster", "dw1", "state", "active"}},
		{0, "cw_sessions", []string{"cluster", "dw1", "state", "idle in transaction"}},
		{1, "cw_sessions_blocked", []string{"cluster", "dw1"}},
		{90, "cw_oldest_transaction_age_seconds", []string{"cluster", "dw1"}},
		{1 << 40, "cw_load_bytes_total", []string{"job", "l1"}},
		{2, "cw_load_rejected_rows_total", []string{"job", "l1"}},
		{2000, "cw_load_limit_bytes_per_second", []string{"job", "l1"}},
		{math.NaN(), "cw_load_rate_bytes_per_second", []string{"job", "l2"}},
		{1, "cw_load_info", []string{"job", "l2", "state", "done", "target", odd}},
	} {
		if got := value(t, all, c.name, c.with...); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%s%v is %v, want %v", c.name, c.with, got, c.want)
		}
	}
	for _, name := range []string{"process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"} {
		if v := value(t, all, name); !(v > 0) {
			t.Errorf("%s is %v", name, v)
		}
	}
	// The conventions: base units, counters and only they end in _total, each
	// has a help text.
	for name, f := range all {
		if (f.GetType() == dto.MetricType_COUNTER) != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, f.GetType())
		}
		if f.GetHelp() == "" || !regexp.MustCompile(`^(cw|process|go)_[a-z0-9_]+$`).MatchString(name) || regexp.MustCompile(`_(ms|milliseconds|kb|mb|percent|minutes)\b`).MatchString(name) {
			t.Errorf("%s: help %q", name, f.GetHelp())
		}
	}
}

// One that stands by, or knows nothing yet, has a page, too.
func TestMetricsEmpty(t *testing.T) {
	t.Parallel()
	for _, v := range []View{{}, {Since: time.Now(), StoreErr: "gone"}, {Leading: true, Clusters: []*source.Snapshot{{}}}} {
		b := NewBoard()
		b.Set(v)
		_, text := get(t, b.Handler(), "/metrics")
		all := scrape(t, text)
		if got := value(t, all, "cw_monitor_leading"); (got == 1) != v.Leading {
			t.Errorf("%+v: leading %v", v, got)
		}
		if got := value(t, all, "cw_monitor_store_up"); (got == 1) != (v.StoreErr == "") {
			t.Errorf("%+v: store %v", v, got)
		}
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, c := range []struct {
		name string
		v    *View
		age  time.Duration // of the view
		ok   bool
		text string
	}{
		{"begins", nil, 0, true, `"role":"standby"`},
		{"does not begin", nil, time.Minute, false, "the monitor does not begin"},
		{"standby", &View{Since: now.Add(-time.Hour)}, 0, true, `"role":"standby"`},
		{"leads", &View{Leading: true, Since: now.Add(-time.Hour), LookedAt: now.Add(-time.Second)}, 0, true, `"look_seconds":1`},
		{"has just begun", &View{Leading: true, Since: now.Add(-time.Second)}, 0, true, `"role":"leading"`},
		{"does not look", &View{Leading: true, Since: now.Add(-time.Hour), LookedAt: now.Add(-31 * time.Second)}, 0, false, "were not looked at for 31s"},
		{"never looked", &View{Leading: true, Since: now.Add(-40 * time.Second)}, 0, false, "were not looked at for 40s"},
		{"no store", &View{Since: now, StoreErr: "connection refused"}, 0, false, "connection refused"},
		{"silent", &View{Since: now.Add(-time.Hour)}, time.Minute, false, "has not said anything for 1m0s"},
	} {
		b := NewBoard()
		b.Now = func() time.Time { return now.Add(-c.age) }
		b.started = now.Add(-c.age)
		if c.v != nil {
			b.Set(*c.v)
		}
		b.Now = func() time.Time { return now }
		code, text := get(t, b.Handler(), "/healthz")
		if (code == http.StatusOK) != c.ok || code != http.StatusOK && code != http.StatusServiceUnavailable || !strings.Contains(text, c.text) || !json.Valid([]byte(text)) {
			t.Errorf("%s: %d %s", c.name, code, text)
		}
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	ctx := t.Context()
	l, err := Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(ctx, l.Addr().String()); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("an address twice: %v", err)
	}
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(ctx)
	go func() { done <- b.Serve(ctx, l, slog.New(slog.DiscardHandler)) }()
	for path, want := range map[string]int{"/metrics": 200, "/healthz": 200, "/": 200, "/other": 404} {
		r, err := http.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
	r, err := http.Post("http://"+l.Addr().String()+"/metrics", "text/plain", strings.NewReader("x"))
	if err != nil || r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %v", err)
	}
	if err == nil {
		_ = r.Body.Close()
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Every query of the dashboard asks for metrics that there are, with labels
// that they have.
func TestDashboard(t *testing.T) {
	t.Parallel()
	now := time.Now()
	known := map[string][]string{}
	for _, f := range families(sampleView(now), now, now) {
		known[f.name] = f.labels
		if len(f.series) == 0 {
			t.Errorf("the sample has no %s", f.name)
		}
	}
	var d struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct{ Query any }
		}
	}
	if err := json.Unmarshal(Dashboard(), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Panels) < 10 {
		t.Fatalf("%d panels", len(d.Panels))
	}
	used := 0
	check := func(where, expr, legend string) {
		names := regexp.MustCompile(`\b(cw|process|go)_[a-z0-9_]+`).FindAllString(expr, -1)
		if len(names) == 0 {
			t.Errorf("%s asks for nothing: %s", where, expr)
		}
		var labels []string
		for _, n := range names {
			have, ok := known[n]
			if !ok {
				t.Errorf("%s asks for %s, which is not there", where, n)
			}
			labels = append(labels, have...)
			used++
		}
		labels = append(labels, "instance", "job") // of every scrape
		for _, m := range regexp.MustCompile(`([a-z_]+)(?:=|!=|=~|!~)"`).FindAllStringSubmatch(expr, -1) {
			if !slices.Contains(labels, m[1]) {
				t.Errorf("%s selects by %s, which %v have not", where, m[1], names)
			}
		}
		for _, m := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(legend, -1) {
			if !slices.Contains(labels, m[1]) {
				t.Errorf("%s shows %s, which %v have not", where, m[1], names)
			}
		}
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || len(p.Targets) == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %s: %+v", p.ID, p.Title, p.GridPos)
		}
		ids[p.ID] = true
		for _, q := range p.Targets {
			check(p.Title, q.Expr, q.LegendFormat)
		}
	}
	if used < 20 {
		t.Errorf("only %d metrics are asked for", used)
	}
}

// FuzzLabels: whatever a label is, a page can be read, and gives it back.
func FuzzLabels(f *testing.F) {
	f.Add(nasty, 1.5)
	f.Add("\\\"\n\\n", math.Inf(1))
	f.Add("}\nother{a=\"b\"} 3\n", math.NaN())
	f.Fuzz(func(t *testing.T, label string, v float64) {
		m := &family{name: "cw_x", kind: gauge, help: label, labels: []string{"a", "b"}}
		m.add(v, label, "x")
		m.add(1, "other", label)
		m.add(v, label, "x") // twice
		var text strings.Builder
		if err := write(&text, []*family{m}); err != nil {
			t.Fatal(err)
		}
		all := scrape(t, text.String())
		if len(all) != 1 {
			t.Fatalf("%d metrics in %q", len(all), text.String())
		}
		got := value(t, all, "cw_x", "a", strings.ToValidUTF8(label, "\uFFFD"), "b", "x")
		if label == "other" {
			return
		}
		if got != v && !(math.IsNaN(got) && math.IsNaN(v)) {
			t.Errorf("%v, want %v in %q", got, v, text.String())
		}
	})
}

// A reader that is gone is an error, and no panic.
func TestWriteFails(t *testing.T) {
	t.Parallel()
	now := time.Now()
	if err := write(brokenWriter{}, families(sampleView(now), now, now)); err == nil {
		t.Error("nobody noticed")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("gone") }
