package monitor

import (
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"cw/schema"
)

// config makes the Config, with what the file leaves out.
func (r *reader) config(in configFile) Config {
	c := Defaults()
	c.File, c.Clusters, c.Listen = r.file, in.Clusters, in.Listen
	r.patterns("clusters", in.Clusters, nil)
	c.Interval = r.span("interval", in.Interval, c.Interval, 500*time.Millisecond, time.Minute)
	if in.Listen != "" {
		if err := checkAddress(in.Listen); err != nil {
			r.fail("listen", "%v", err)
		}
	}
	for _, name := range sortedKeys(in.Rules) {
		c.Rules[name] = r.rule(name, in.Rules[name])
	}
	for i, name := range in.Inspect {
		c.Inspections = append(c.Inspections, r.named(fmt.Sprintf("inspections[%d]", i), name, false))
	}
	c.Heal.On = in.Heal.Enabled
	if n := in.Heal.Attempts; n != nil {
		if c.Heal.Attempts = *n; *n < 1 || *n > 100 {
			r.fail("auto_recover.attempts", "%d: 1 to 100", *n)
		}
	}
	c.Heal.Window = r.span("auto_recover.window", in.Heal.Window, c.Heal.Window, time.Minute, 0)
	c.Heal.Wait = r.span("auto_recover.wait", in.Heal.Wait, c.Heal.Wait, 0, 0)
	for _, k := range []struct {
		name string
		text *string
		into *time.Duration
	}{
		{"events", in.Keep.Events, &c.Keep.Events},
		{"alerts", in.Keep.Alerts, &c.Keep.Alerts},
		{"samples", in.Keep.Samples, &c.Keep.Samples},
		{"jobs", in.Keep.Jobs, &c.Keep.Jobs},
		{"audit", in.Keep.Audit, &c.Keep.Audit},
	} {
		*k.into = r.span("retention."+k.name, k.text, *k.into, 0, 0)
		if *k.into > 0 && *k.into < day {
			r.fail("retention."+k.name, "%s is too short: at least 1d, or 0 for ever", schema.FormatSpan(*k.into))
		}
	}
	for i, f := range in.Receivers {
		c.Receivers = append(c.Receivers, r.receiver(fmt.Sprintf("receivers[%d]", i), f, c))
	}
	r.routes(in.Routes, &c)
	return c
}

func (r *reader) rule(name string, f ruleChangeFile) RuleChange {
	at := "rules." + name
	rule, known := Config{}.Rule(name)
	if !known {
		r.fail(at, "%s", unknownRule(name))
		return RuleChange{}
	}
	ch := RuleChange{Off: f.Off, Warn: r.bound(at+".warn", f.Warn, rule), Critical: r.bound(at+".critical", f.Critical, rule)}
	for _, s := range []struct {
		key  string
		text *string
		into **time.Duration
	}{{"confirm", f.Confirm, &ch.Confirm}, {"clear", f.Clear, &ch.Clear}} {
		if s.text != nil {
			d := r.span(at+"."+s.key, s.text, 0, 0, day)
			*s.into = &d
		}
	}
	if now := rule.With(ch); now.Warn != 0 && now.Critical != 0 && now.Warn != now.Critical && (now.Warn > now.Critical) != now.Below {
		r.fail(at, "critical is reached before warn (%g, %g)", now.Critical, now.Warn)
	}
	return ch
}

func unknownRule(name string) string {
	if near := schema.Nearest(name, ruleNames()); near != "" {
		return fmt.Sprintf("there is no rule %q: did you mean %q?", name, near)
	}
	return fmt.Sprintf("there is no rule %q: they are %s, and inspect.NAME", name, strings.Join(ruleNames(), ", "))
}

// patterns checks names and patterns; those that are no patterns have to be
// known.
func (r *reader) patterns(at string, list []string, unknown func(string) string) {
	for i, p := range list {
		one := fmt.Sprintf("%s[%d]", at, i)
		if _, err := path.Match(p, ""); err != nil || p == "" {
			r.fail(one, "%q is not a pattern: write a name, or * and ? for what may be there", p)
		} else if unknown != nil && !strings.ContainsAny(p, `*?[\`) {
			if text := unknown(p); text != "" {
				r.fail(one, "%s", text)
			}
		}
	}
}

func (r *reader) receiver(at string, f receiverFile, c Config) Receiver {
	out := Receiver{Name: f.Name, Title: f.Title, Body: f.Body, Resolved: f.Resolved == nil || *f.Resolved}
	if strings.TrimSpace(f.Name) != f.Name || f.Name == "" || len(f.Name) > 100 {
		r.fail(at+".name", "%q is no name", f.Name)
	}
	if _, twice := c.Receiver(f.Name); twice {
		r.fail(at+".name", "a receiver %s is there already", f.Name)
	}
	set := 0
	if w := f.Webhook; w != nil {
		set++
		out.Webhook = &Webhook{URL: w.URL, JSON: w.JSON, InsecureSkipVerify: w.Insecure}
		r.webhook(at+".webhook", out.Webhook, w.URLFile, w.TokenFile, w.CAFile)
	}
	if s := f.SMTP; s != nil {
		set++
		out.SMTP = &SMTP{Server: s.Server, From: s.From, To: s.To, User: s.User, TLS: s.TLS}
		r.smtp(at+".smtp", out.SMTP, s.PasswordFile, s.CAFile)
	}
	if e := f.Exec; e != nil {
		set++
		out.Exec = &Exec{Command: e.Command, Timeout: r.span(at+".exec.timeout", e.Timeout, DefaultExecTime, time.Second, 5*time.Minute)}
		if strings.TrimSpace(e.Command) == "" {
			r.fail(at+".exec.command", "is empty")
		}
	}
	if set != 1 {
		r.fail(at, "wants one of webhook, smtp and exec")
	}
	sample := TestNotice("a0000000", f.Name, "cw", time.Unix(0, 0))
	for _, t := range []struct{ key, text string }{{"title", f.Title}, {"body", f.Body}} {
		if _, err := Render(t.key, t.text, sample); err != nil {
			r.fail(at+"."+t.key, "%v", err)
		}
	}
	return out
}

func (r *reader) webhook(at string, w *Webhook, urlFile, tokenFile, caFile string) {
	w.URLFile = r.named(at+".url_file", urlFile, true)
	w.TokenFile = r.named(at+".token_file", tokenFile, true)
	w.CAFile = r.named(at+".ca_file", caFile, false)
	switch {
	case (w.URL == "") == (w.URLFile == ""):
		r.fail(at, "wants one of url and url_file")
	case w.URL != "":
		if err := CheckHook(w.URL); err != nil {
			r.fail(at+".url", "%v", err)
		}
	}
	if w.JSON != "" {
		if _, err := RenderJSON("json", w.JSON, TestNotice("a0000000", "x", "cw", time.Unix(0, 0))); err != nil {
			r.fail(at+".json", "%v", err)
		}
	}
}

// CheckHook tells whether a text is the URL of a webhook, without repeating
// it: it may be a secret.
func CheckHook(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("is not a URL: write https://host/path")
	}
	if _, has := u.User.Password(); has {
		return fmt.Errorf("holds a password: put it into a file and name that as url_file or token_file")
	}
	return nil
}

func (r *reader) smtp(at string, s *SMTP, passwordFile, caFile string) {
	s.PasswordFile = r.named(at+".password_file", passwordFile, true)
	s.CAFile = r.named(at+".ca_file", caFile, false)
	if s.TLS == "" {
		s.TLS = StartTLS
	}
	if err := checkAddress(s.Server); err != nil {
		r.fail(at+".server", "%v", err)
	}
	if _, err := mail.ParseAddress(s.From); err != nil {
		r.fail(at+".from", "%q is not an address: write cw@example.com", s.From)
	}
	if len(s.To) == 0 {
		r.fail(at+".to", "names nobody")
	}
	for i, to := range s.To {
		if _, err := mail.ParseAddress(to); err != nil {
			r.fail(fmt.Sprintf("%s.to[%d]", at, i), "%q is not an address: write dba@example.com", to)
		}
	}
	switch {
	case (s.User == "") != (s.PasswordFile == ""):
		r.fail(at, "user and password_file belong together")
	case s.User != "" && s.TLS == NoTLS:
		r.fail(at+".tls", "off would send the password in the clear: starttls or tls")
	}
}

// checkAddress tells whether a text is host:port.
func checkAddress(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		var n int
		if n, err = strconv.Atoi(port); err == nil && n >= 0 && n <= 65535 {
			return nil
		}
	}
	return fmt.Errorf("%q is not an address: write host:port", text)
}

func (r *reader) routes(in []routeFile, c *Config) {
	var names []string
	for _, rc := range c.Receivers {
		names = append(names, rc.Name)
	}
	if in == nil && len(names) > 0 {
		c.Routes = []Route{{Receivers: names, GroupBy: []string{"cluster"}, GroupWait: DefaultGroupWait, Repeat: DefaultRepeat}}
	}
	for i, f := range in {
		at := fmt.Sprintf("routes[%d]", i)
		if len(f.Receivers) == 0 {
			r.fail(at+".receivers", "names nobody")
		}
		for n, name := range f.Receivers {
			if slices.Contains(names, name) {
				continue
			}
			text := fmt.Sprintf("there is no receiver %q", name)
			if near := schema.Nearest(name, names); near != "" {
				text += fmt.Sprintf(": did you mean %q?", near)
			} else if len(names) > 0 {
				text += ": they are " + strings.Join(names, ", ")
			}
			r.fail(fmt.Sprintf("%s.receivers[%d]", at, n), "%s", text)
		}
		r.patterns(at+".clusters", f.Clusters, nil)
		r.patterns(at+".rules", f.Rules, func(name string) string {
			if slices.Contains(ruleNames(), name) || strings.HasPrefix(name, InspectPrefix) {
				return ""
			}
			return unknownRule(name)
		})
		route := Route{Receivers: f.Receivers, Severities: f.Severities, Clusters: f.Clusters, Rules: f.Rules, GroupBy: f.GroupBy}
		if f.GroupBy == nil {
			route.GroupBy = []string{"cluster"}
		}
		route.GroupWait = r.span(at+".group_wait", f.GroupWait, DefaultGroupWait, 0, 5*time.Minute)
		route.Repeat = r.span(at+".repeat", f.Repeat, DefaultRepeat, 0, 0)
		if route.Repeat > 0 && route.Repeat < time.Minute {
			r.fail(at+".repeat", "%s is too often: at least 1m, or 0 for never", schema.FormatSpan(route.Repeat))
		}
		c.Routes = append(c.Routes, route)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
