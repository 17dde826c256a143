package monitor

import (
	"slices"

	"cw/schema"
	"cw/state"
)

// ruleNames are the built-in rules, in the order in which help shows them.
func ruleNames() []string {
	var out []string
	for _, r := range Rules() {
		out = append(out, r.Name)
	}
	return out
}

// Grouped are the words that alerts can be grouped by; by alert each is a
// notice of its own.
func Grouped() []string { return []string{"cluster", "rule", "host", "severity", "alert"} }

// How a mail server is talked to.
const (
	StartTLS = "starttls"
	TLS      = "tls"
	NoTLS    = "off"
)

// Keys describe monitor.yaml.
func Keys() schema.Key {
	text := schema.Key{}
	return schema.Key{Type: schema.Map, Keys: []schema.Key{
		{Name: "apiVersion", Type: schema.Enum, Enum: []string{"cw/v1"}, Required: true, Example: "cw/v1", Doc: "Version of the file format."},
		{Name: "kind", Type: schema.Enum, Enum: []string{"Monitor"}, Required: true, Example: "Monitor", Doc: "What the file is."},
		{Name: "clusters", Type: schema.List, Elem: &text, Example: `["prod-*"]`, Doc: "Names or patterns of the clusters to watch; left out: all of the store."},
		{Name: "interval", Type: schema.Span, Default: "2s", Doc: "How often hosts and databases are looked at, 500ms to 1m."},
		{Name: "listen", Example: DefaultListen, Doc: "Address of /metrics and /healthz; left out: none. Both are plain HTTP without a password."},
		rulesKey(),
		{Name: "inspections", Type: schema.List, Elem: &text, Example: "[ours.yaml]", Doc: "Files of rules in SQL, as cw report --rules takes them: those that say watch: true are asked every minute, as inspect.NAME."},
		{Name: "auto_recover", Type: schema.Map, Doc: "Bring failed replicas and mirrors back without being asked.", Keys: []schema.Key{
			{Name: "enabled", Type: schema.Bool, Default: "false", Doc: "Whether that is done at all; --auto-recover says so too."},
			{Name: "attempts", Type: schema.Int, Default: "3", Doc: "How often for the same nodes within window; then an alert says that it stopped."},
			{Name: "window", Type: schema.Span, Default: "6h", Doc: "After which an attempt no longer counts."},
			{Name: "wait", Type: schema.Span, Default: "30s", Doc: "How long a node has to be down before it is tried."},
		}},
		{Name: "retention", Type: schema.Map, Doc: "How long the store keeps what is over; 0 is for ever.", Keys: []schema.Key{
			{Name: "events", Type: schema.Span, Default: "90d", Doc: "Events."},
			{Name: "alerts", Type: schema.Span, Default: "90d", Doc: "Resolved alerts, what was told of them, and silences."},
			{Name: "samples", Type: schema.Span, Default: "400d", Doc: "Sizes of disks and databases, which forecasts are made from."},
			{Name: "jobs", Type: schema.Span, Default: "400d", Doc: "Finished loads and unloads."},
			{Name: "audit", Type: schema.Span, Default: "400d", Doc: "The commands that changed something."},
		}},
		{Name: "receivers", Type: schema.List, Elem: receiverKey(), Doc: "Who is told."},
		{Name: "routes", Type: schema.List, Elem: routeKey(), Doc: "Which alerts go to whom; left out: every alert to every receiver."},
	}}
}

func rulesKey() schema.Key {
	rule := schema.Key{Type: schema.Map, Keys: []schema.Key{
		{Name: "off", Type: schema.Bool, Default: "false", Doc: "Do not watch for it."},
		{Name: "warn", Example: "80%", Doc: "From this value on it is a warning: 80%, 30s, 7d, 1GB or a number, as the rule counts."},
		{Name: "critical", Example: "90%", Doc: "From this value on it is critical."},
		{Name: "confirm", Type: schema.Span, Example: "5s", Doc: "How long it has to be so before it is an alert."},
		{Name: "clear", Type: schema.Span, Example: "30s", Doc: "How long it has to be well before the alert is over."},
	}}
	k := schema.Key{
		Name: "rules", Type: schema.Map, Elem: &rule, Example: "{disk.full: {warn: 75%, critical: 90%}, node.lag: {off: true}}",
		Doc: "Changes of what is watched for, by the rule's name: ",
	}
	for i, name := range ruleNames() {
		if i > 0 {
			k.Doc += ", "
		}
		k.Doc += name
	}
	k.Doc += ", or inspect. and the name of a rule of cw report."
	return k
}

func receiverKey() *schema.Key {
	return &schema.Key{Type: schema.Map, Required: true, Keys: []schema.Key{
		{Name: "name", Required: true, Example: "oncall", Doc: "How routes, cw monitor status and cw monitor test call it."},
		{Name: "webhook", Type: schema.Map, Doc: "Gets the notice as JSON by POST. Its Idempotency-Key is the same for every try of one notice.", Keys: []schema.Key{
			{Name: "url", Example: "https://alerts.example.com/cw", Doc: "Where to, if that is no secret."},
			{Name: "url_file", Example: "/etc/cw/hook.url", Doc: "File that holds the URL, for one that is a secret; only its owner may read it."},
			{Name: "token_file", Example: "/etc/cw/hook.token", Doc: "File that holds a token, sent as Authorization: Bearer."},
			{Name: "json", Example: `'{"text": {{json .Title}}}'`, Doc: "Template of the document, for services with one of their own; json quotes. Left out: cw's AlertNotice."},
			{Name: "ca_file", Doc: "Certificates (PEM) that the server's has to come from, instead of the system's."},
			{Name: "insecure_skip_verify", Type: schema.Bool, Default: "false", Doc: "Do not look at the server's certificate: for tests."},
		}},
		{Name: "smtp", Type: schema.Map, Doc: "Gets a mail.", Keys: []schema.Key{
			{Name: "server", Required: true, Example: "mail.example.com:587", Doc: "Host and port."},
			{Name: "from", Required: true, Example: "cw <cw@example.com>", Doc: "Sender."},
			{Name: "to", Type: schema.List, Required: true, Elem: &schema.Key{}, Example: "[dba@example.com]", Doc: "Addresses."},
			{Name: "user", Doc: "To log in as; only over TLS."},
			{Name: "password_file", Doc: "File that holds the password; only its owner may read it."},
			{Name: "tls", Type: schema.Enum, Enum: []string{StartTLS, TLS, NoTLS}, Default: StartTLS, Doc: "starttls: the connection becomes encrypted or nothing is sent; tls: it begins so (port 465); off: in the clear."},
			{Name: "ca_file", Doc: "Certificates (PEM) that the server's has to come from, instead of the system's."},
		}},
		{Name: "exec", Type: schema.Map, Doc: "Runs a command with the notice as JSON on its standard input, and CW_ALERT_STATUS, _REASON, _SEVERITY, _TITLE, _TEXT, _ID, _CLUSTER, _RULE, _HOST and _COUNT. An exit code that is not 0 means: try again later.", Keys: []schema.Key{
			{Name: "command", Required: true, Example: "/usr/local/bin/page", Doc: "For sh -c, in a process group of its own."},
			{Name: "timeout", Type: schema.Span, Default: "30s", Doc: "When it and all it started are killed, up to 5m."},
		}},
		{Name: "title", Example: "'{{.Severity}}: {{.Title}}'", Doc: "Template of subject and title, of the AlertNotice."},
		{Name: "body", Example: "'{{range .Alerts}}{{.Message}}{{end}}'", Doc: "Template of the text."},
		{Name: "resolved", Type: schema.Bool, Default: "true", Doc: "Whether it is told of the end too, of what it was told the beginning of."},
	}}
}

func routeKey() *schema.Key {
	text := schema.Key{}
	return &schema.Key{Type: schema.Map, Required: true, Keys: []schema.Key{
		{Name: "receivers", Type: schema.List, Required: true, Elem: &text, Example: "[oncall]", Doc: "Names of receivers. One that is in several routes that fit is told once, by the first of them."},
		{Name: "severities", Type: schema.List, Elem: &schema.Key{Type: schema.Enum, Enum: slices.Clone(state.Severities()[1:])}, Doc: "Left out: all."},
		{Name: "clusters", Type: schema.List, Elem: &text, Example: `["prod-*"]`, Doc: "Names or patterns; left out: all."},
		{Name: "rules", Type: schema.List, Elem: &text, Example: `["host.*", "disk.full"]`, Doc: "Names or patterns; left out: all."},
		{Name: "group_by", Type: schema.List, Elem: &schema.Key{Type: schema.Enum, Enum: Grouped()}, Default: "cluster", Doc: "Alerts that agree in these are one notice; by alert each is its own."},
		{Name: "group_wait", Type: schema.Span, Default: "2s", Doc: "How long a notice waits for further alerts of its group, up to 5m."},
		{Name: "repeat", Type: schema.Span, Default: "4h", Doc: "How often it is told again while it fires, 1m at least; 0 is never."},
	}}
}
