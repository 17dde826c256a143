package monitor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cw/fault"
	"cw/state"
)

const head = "apiVersion: cw/v1\nkind: Monitor\n"

func TestParse(t *testing.T) {
	t.Parallel()
	c, err := Parse("dir/monitor.yaml", []byte(head+`
clusters: ["prod-*", dw1]
interval: 1s
listen: ":9187"
rules:
  disk.full: {warn: 75%, critical: 0.95, confirm: 10s, clear: 1m}
  certificate.expiry: {warn: 30d}
  node.lag: {warn: 16MiB, critical: 1GB}
  inspect.my.rule: {off: yes}
inspections: [ours.yaml, /etc/theirs.yaml]
auto_recover: {enabled: true, attempts: 2, window: 1d, wait: 0}
retention: {events: 30d, jobs: 0, samples: 2d}
receivers:
  - name: hook
    webhook: {url_file: hook.url, json: '{"t": {{json .Title}}, "n": {{len .Alerts}}}', ca_file: /ca.pem}
    resolved: false
  - name: mail
    smtp: {server: "mail.example.com:587", from: "cw <cw@example.com>", to: a@example.com, user: u, password_file: /p}
    title: "{{.Severity | upper}} {{.Title}}"
  - name: page
    exec: {command: ./page, timeout: 1m}
routes:
  - receivers: [hook, page]
    severities: critical
    rules: ["host.*", disk.full, inspect.x]
    group_by: [host, rule]
    group_wait: 0s
    repeat: 0
  - receivers: mail
`))
	if err != nil {
		t.Fatal(err)
	}
	near := func(p *float64, want float64) bool { return p != nil && *p == want }
	disk, lag := c.Rules[DiskFull], c.Rules[NodeLag]
	for name, ok := range map[string]bool{
		"clusters":  slices.Equal(c.Clusters, []string{"prod-*", "dw1"}),
		"interval":  c.Interval == time.Second && c.Listen == ":9187",
		"disk":      near(disk.Warn, 0.75) && near(disk.Critical, 0.95) && *disk.Confirm == 10*time.Second && *disk.Clear == time.Minute && !disk.Off,
		"days":      near(c.Rules[CertExpiry].Warn, 30*86400) && c.Rules[CertExpiry].Critical == nil && c.Rules[CertExpiry].Confirm == nil,
		"sizes":     near(lag.Warn, 16<<20) && near(lag.Critical, 1e9),
		"inspect":   slices.Equal(c.Inspections, []string{"dir/ours.yaml", "/etc/theirs.yaml"}),
		"off":       c.Rules["inspect.my.rule"].Off,
		"heal":      c.Heal == Heal{On: true, Attempts: 2, Window: 24 * time.Hour},
		"keep":      c.Keep == Keep{Events: 30 * day, Alerts: 90 * day, Samples: 2 * day, Audit: 400 * day},
		"webhook":   c.Receivers[0].Webhook.URLFile == "dir/hook.url" && c.Receivers[0].Webhook.CAFile == "/ca.pem" && !c.Receivers[0].Resolved,
		"smtp":      c.Receivers[1].SMTP.TLS == StartTLS && len(c.Receivers[1].SMTP.To) == 1 && c.Receivers[1].Resolved,
		"exec":      c.Receivers[2].Exec.Timeout == time.Minute,
		"route":     slices.Equal(c.Routes[0].Severities, []string{"critical"}) && c.Routes[0].Repeat == 0 && c.Routes[0].GroupWait == 0,
		"defaults":  c.Routes[1].Repeat == DefaultRepeat && c.Routes[1].GroupWait == DefaultGroupWait && slices.Equal(c.Routes[1].GroupBy, []string{"cluster"}),
		"two of it": len(c.Routes) == 2 && len(c.Receivers) == 3,
	} {
		if !ok {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// Without a word about it, what the documentation says holds.
func TestParseDefaults(t *testing.T) {
	t.Parallel()
	c, err := Parse("m.yaml", []byte(head))
	if err != nil {
		t.Fatal(err)
	}
	c.File = ""
	want, _ := json.Marshal(Defaults())
	if got, _ := json.Marshal(c); string(got) != string(want) {
		t.Errorf("an empty file is %s, no file %s", got, want)
	}
	c, err = Parse("m.yaml", []byte(head+"receivers: [{name: a, exec: {command: x}}, {name: b, exec: {command: y}}]"))
	if err != nil || len(c.Routes) != 1 || !slices.Equal(c.Routes[0].Receivers, []string{"a", "b"}) {
		t.Errorf("receivers without routes: %+v, %v", c.Routes, err)
	}
	if c.Receivers[0].Exec.Timeout != DefaultExecTime {
		t.Errorf("timeout %s", c.Receivers[0].Exec.Timeout)
	}
}

func TestParseMistakes(t *testing.T) {
	t.Parallel()
	const rc = "receivers:\n  - name: ops\n    exec: {command: x}\n"
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "intervall: 2s", `m.yaml:3:1: unknown key "intervall": did you mean "interval"?`},
		{"interval", "interval: 10ms", "m.yaml:3:11: interval: 10ms is too short: at least 500ms"},
		{"no duration", "interval: often", `m.yaml:3:11: interval: "often" is not a duration`},
		{"listen", "listen: here", `m.yaml:3:9: listen: "here" is not an address: write host:port`},
		{"rule", "rules:\n  disk.ful: {off: true}", `m.yaml:4:13: rules.disk.ful: there is no rule "disk.ful": did you mean "disk.full"?`},
		{"rule far off", "rules: {xyzzyxyzzy: {off: true}}", `there is no rule "xyzzyxyzzy": they are host.silent,`},
		{"bound", "rules:\n  disk.full:\n    warn: much", `m.yaml:5:11: rules.disk.full.warn: "much" is no value`},
		{"share", "rules: {disk.full: {warn: 120%}}", `"120%" is no share between 0% and 100%`},
		{"of another kind", "rules: {disk.full: {warn: 5GB}}", `rules.disk.full.warn: "5GB" is no value of disk.full, which counts in share`},
		{"more than all", "rules: {disk.full: {warn: 80}}", "80 is more than everything: write 80%"},
		{"no bounds", "rules: {host.silent: {warn: 3}}", "host.silent has no bounds"},
		{"the wrong way round", "rules:\n  disk.full: {warn: 98%}", "m.yaml:4:14: rules.disk.full: critical is reached before warn (0.95, 0.98)"},
		{"below", "rules: {certificate.expiry: {warn: 1d}}", "critical is reached before warn"},
		{"not a number", "rules: {disk.full: {warn: nan}}", `"nan" is no value`},
		{"attempts", "auto_recover: {attempts: 0}", "auto_recover.attempts: 0: 1 to 100"},
		{"retention", "retention: {events: 5m}", "retention.events: 5m is too short: at least 1d, or 0 for ever"},
		{"negative", "retention: {events: -5d}", `retention.events: "-5d" is not a duration`},
		{"pattern", "clusters: ['[a']", `m.yaml:3:12: clusters[0]: "[a" is not a pattern`},
		{"two kinds", "receivers: [{name: a, exec: {command: x}, webhook: {url: 'http://h/'}}]", "receivers[0]: wants one of webhook, smtp and exec"},
		{"no kind", "receivers: [{name: a}]", "receivers[0]: wants one of webhook, smtp and exec"},
		{"twice", rc + "  - name: ops\n    exec: {command: y}\n", "m.yaml:6:11: receivers[1].name: a receiver ops is there already"},
		{"no URL", "receivers: [{name: a, webhook: {url: 'example.com'}}]", "receivers[0].webhook.url: is not a URL: write https://host/path"},
		{"both URLs", "receivers: [{name: a, webhook: {url: 'http://h/', url_file: f}}]", "receivers[0].webhook: wants one of url and url_file"},
		{"password in the URL", "receivers: [{name: a, webhook: {url: 'http://u:p@h/'}}]", "holds a password"},
		{"no JSON", "receivers: [{name: a, webhook: {url: 'http://h/', json: '{\"a\": {{.Title}}}'}}]", "makes no valid JSON: quote values with json"},
		{"template", "receivers: [{name: a, exec: {command: x}, title: '{{.Titel}}'}]", "receivers[0].title: not a template that works"},
		{"template syntax", "receivers: [{name: a, exec: {command: x}, body: '{{if}}'}]", "receivers[0].body: not a template that works"},
		{"template without end", "receivers: [{name: a, exec: {command: x}, body: '{{define \"x\"}}yyyyyyyyyyyyyyyyy{{template \"x\"}}{{end}}{{template \"x\"}}'}]", "receivers[0].body: not a template that works"},
		{"server", "receivers: [{name: a, smtp: {server: mail, from: a@b.c, to: d@e.f}}]", `receivers[0].smtp.server: "mail" is not an address: write host:port`},
		{"from", "receivers: [{name: a, smtp: {server: 'mail:25', from: me, to: d@e.f}}]", `receivers[0].smtp.from: "me" is not an address`},
		{"to", "receivers: [{name: a, smtp: {server: 'mail:25', from: a@b.c, to: [d@e.f, you]}}]", `receivers[0].smtp.to[1]: "you" is not an address`},
		{"injected", "receivers: [{name: a, smtp: {server: 'mail:25', from: a@b.c, to: [\"d@e.f\\r\\nBcc: x@y.z\"]}}]", `smtp.to[0]: "d@e.f\r\nBcc: x@y.z" is not an address`},
		{"user alone", "receivers: [{name: a, smtp: {server: 'mail:25', from: a@b.c, to: d@e.f, user: u}}]", "user and password_file belong together"},
		{"in the clear", "receivers: [{name: a, smtp: {server: 'mail:25', from: a@b.c, to: d@e.f, user: u, password_file: p, tls: off}}]", "off would send the password in the clear"},
		{"timeout", "receivers: [{name: a, exec: {command: x, timeout: 1h}}]", "receivers[0].exec.timeout: 1h is too long: at most 5m"},
		{"receiver", rc + "routes: [{receivers: [opps]}]", `m.yaml:6:23: routes[0].receivers[0]: there is no receiver "opps": did you mean "ops"?`},
		{"nobody", rc + "routes: [{receivers: []}]", "routes[0].receivers: names nobody"},
		{"route's rule", rc + "routes: [{receivers: ops, rules: [host.silend]}]", `routes[0].rules[0]: there is no rule "host.silend": did you mean "host.silent"?`},
		{"route's pattern", rc + "routes: [{receivers: ops, rules: ['host.[']}]", "is not a pattern"},
		{"group", rc + "routes: [{receivers: ops, group_by: [clutser]}]", `did you mean "cluster"?`},
		{"severity", rc + "routes: [{receivers: ops, severities: [info]}]", "must be one of warning, critical"},
		{"repeat", rc + "routes: [{receivers: ops, repeat: 1s}]", "routes[0].repeat: 1s is too often: at least 1m, or 0 for never"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("m.yaml", []byte(head+c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if fault.KindOf(err) != fault.Usage {
				t.Errorf("kind %v", fault.KindOf(err))
			}
			if strings.Contains(err.Error(), "u:p@h") {
				t.Errorf("a secret is in the error: %v", err)
			}
		})
	}
}

// All that is wrong is told at once, in the file's order.
func TestParseAll(t *testing.T) {
	t.Parallel()
	_, err := Parse("m.yaml", []byte(head+"interval: 1h\nlisten: x\nretention: {events: 1s}\n"))
	if err == nil || strings.Count(err.Error(), "\n") != 2 || !strings.HasPrefix(err.Error(), "m.yaml:3:") {
		t.Errorf("error %v", err)
	}
}

func TestReadSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	write("closed", "http://h/", 0o600)
	write("open", "http://h/", 0o640)
	for name, want := range map[string]string{
		"closed": "",
		"open":   "holds a secret and others may read it (mode 0640): chmod 600",
		"none":   "no such file",
		".":      "is a folder",
	} {
		file := write("m-"+strings.Trim(name, ".")+".yaml", head+"receivers: [{name: a, webhook: {url_file: "+name+"}}]", 0o644)
		c, err := Read(file)
		switch {
		case want == "" && (err != nil || c.Receivers[0].Webhook.URLFile != filepath.Join(dir, name)):
			t.Errorf("%s: %+v, %v", name, c.Receivers, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ".yaml:3:")):
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
	if _, err := Read(filepath.Join(dir, "nowhere.yaml")); fault.HintOf(err) == "" || fault.KindOf(err) != fault.Usage {
		t.Errorf("no file: %v", err)
	}
}

// The sample is valid as it is, and with everything that it shows turned on.
func TestSample(t *testing.T) {
	t.Parallel()
	if _, err := Parse("monitor.yaml", []byte(Sample())); err != nil {
		t.Fatal(err)
	}
	prose := regexp.MustCompile(`(?m)^# [A-Z].*\n`)
	all := regexp.MustCompile(`(?m)^( *)# ?`).ReplaceAllString(prose.ReplaceAllString(Sample(), ""), "$1")
	c, err := Parse("monitor.yaml", []byte(all))
	if err != nil {
		t.Fatalf("%v\n%s", err, all)
	}
	if len(c.Receivers) != 6 || len(c.Routes) != 2 || len(c.Rules) != 3 || !c.Heal.On || c.Listen == "" {
		t.Errorf("%+v", c)
	}
}

// Every built-in rule and every default is in the table that cw explain shows.
func TestKeys(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(Keys())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range ruleNames() {
		if !strings.Contains(string(text), name) {
			t.Errorf("rule %s is not explained", name)
		}
	}
}

func TestNoticeText(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	a := state.Alert{ID: "a1", Rule: NodeDown, Severity: state.Warning, Cluster: "dw1", Host: "h2", Object: "r1", Message: "replica r1 is down\r\nBcc: x", Remedy: "cw cluster recover dw1", BeganAt: at, FiredAt: at}
	b := a
	b.ID, b.Rule, b.Severity, b.Message, b.ResolvedAt = "a2", HostSilent, state.Critical, "host h2 is silent", at.Add(90*time.Minute)
	one := NewNotice("n1", Firing, ReasonFired, "ops", map[string]string{"cluster": "dw1"}, at.Add(time.Minute), 0, []state.Alert{a})
	if one.Title != "cw: warning: replica r1 is down Bcc: x" || one.Severity != state.Warning || one.Alerts[0].Seconds != 60 || !strings.Contains(one.Text, "remedy   cw cluster recover dw1") {
		t.Errorf("%+v", one)
	}
	two := NewNotice("n2", Firing, ReasonFired, "ops", map[string]string{"cluster": "dw1"}, at.Add(2*time.Hour), time.Hour, []state.Alert{a, b})
	for _, want := range []string{"This is told 1h late", "until    2026-11-21T09:30:00Z (1h30m)", "critical host.silent: host h2 is silent"} {
		if !strings.Contains(two.Text, want) {
			t.Errorf("%q is missing in %s", want, two.Text)
		}
	}
	if two.Title != "cw: critical: 2 alerts of dw1: host.silent, node.down" || two.Severity != state.Critical {
		t.Errorf("title %q, severity %s", two.Title, two.Severity)
	}
	long := NewNotice("n3", Firing, ReasonFired, "ops", nil, at, 0, slices.Repeat([]state.Alert{a}, 70))
	if !strings.Contains(long.Text, "and 20 more: cw monitor status") || len(long.Alerts) != 70 {
		t.Error("a long notice")
	}
	filled, err := Receiver{Title: "{{.Severity | upper}}\n{{len .Alerts}}", Body: `{{range .Alerts}}{{json .Message}} {{time .BeganAt}} {{duration .Seconds}}{{end}}`}.Fill(one)
	if err != nil || filled.Title != "WARNING 1" || filled.Text != `"replica r1 is down\r\nBcc: x" 2026-11-21T08:00:00Z 1m` {
		t.Errorf("%q, %q, %v", filled.Title, filled.Text, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(Sample()))
	f.Add([]byte(head + "rules: {disk.full: {warn: 1e308%, clear: 1d}}\nroutes: [{receivers: [x]}]"))
	f.Add([]byte(head + "receivers: [{name: a, smtp: {server: ':1', from: '<>', to: ['']}}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("m.yaml", data)
		if err != nil {
			if fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "m.yaml") {
				t.Errorf("error %v", err)
			}
			return
		}
		for _, r := range c.Routes {
			for _, name := range r.Receivers {
				if _, ok := c.Receiver(name); !ok {
					t.Errorf("a route to %q, which is no receiver", name)
				}
			}
		}
		if c.Interval < 500*time.Millisecond || c.Keep.Events < 0 {
			t.Errorf("%+v", c)
		}
	})
}

func FuzzOneLine(f *testing.F) {
	f.Add("a\r\nb", 5)
	f.Add("\xff\u2028x", 1)
	f.Fuzz(func(t *testing.T, text string, n int) {
		n = max(1, n%500)
		out := OneLine(text, n)
		if strings.ContainsAny(out, "\r\n\x00\u2028\u0085") || len([]rune(out)) > n {
			t.Errorf("%q of %q", out, text)
		}
	})
}

// A value that is no duration hides nothing else that is wrong.
func TestAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Parse("m.yaml", []byte("apiVersion: cw/v1\nkind: Monitor\ninterval: 2x\nreceivers: [{name: ops, exec: {command: 'true'}}]\nroutes: [{receivers: [opz]}]\n"))
	for _, want := range []string{"m.yaml:3:11: ", "m.yaml:5:23: ", `did you mean "ops"?`} {
		if err == nil || strings.Count(err.Error(), want) != 1 {
			t.Errorf("%s is not told once: %v", want, err)
		}
	}
}
