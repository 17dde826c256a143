package monitor

import "time"

// Config is a monitor's configuration file, monitor.yaml. Its zero value,
// completed by Defaults, watches everything and tells nobody but the store.
type Config struct {
	Clusters []string // patterns as of path.Match; none is all
	Interval time.Duration
	Listen   string // of /metrics and /healthz; "" is none
	Rules    map[string]RuleChange
	// Inspections are files of a DBA's own rules, as cw report --rules takes
	// them.
	Inspections []string
	Heal        Heal
	Keep        Keep
	Receivers   []Receiver
	Routes      []Route
	File        string // where it was read
}

// RuleChange is what a configuration says of a rule.
type RuleChange struct {
	Off            bool
	Warn, Critical *float64
	Confirm, Clear *time.Duration
}

// Heal is the automatic recovery of failed mirrors and replicas.
type Heal struct {
	On       bool
	Attempts int           // of the same nodes, within Window
	Window   time.Duration // after which an attempt is forgotten
	Wait     time.Duration // how long an alert fires before it is tried
}

// Keep is how long the store keeps what is over; 0 is for ever.
type Keep struct {
	Events, Alerts, Samples, Jobs, Audit time.Duration
}

// Receiver is who is told. One of Webhook, SMTP and Exec is set.
type Receiver struct {
	Name     string
	Webhook  *Webhook
	SMTP     *SMTP
	Exec     *Exec
	Title    string // template of the subject or title; "" is the built-in one
	Body     string // template of the text; "" is the built-in one
	Resolved bool   // is told of the end too
}

// Webhook gets JSON by POST.
type Webhook struct {
	URL, URLFile       string // the second for URLs that are secrets
	TokenFile          string // sent as Authorization: Bearer
	JSON               string // template of the body; "" is the document of cw
	CAFile             string
	InsecureSkipVerify bool
}

// SMTP is a mail server.
type SMTP struct {
	Server       string // host:port
	From         string
	To           []string
	User         string
	PasswordFile string
	TLS          string // starttls, tls, off
	CAFile       string
}

// Exec is a command that gets the document of cw on its standard input.
type Exec struct {
	Command string // for sh -c
	Timeout time.Duration
}

// Route says which alerts go to whom. An alert takes every route that fits.
type Route struct {
	Receivers  []string
	Severities []string // none is all
	Clusters   []string // patterns
	Rules      []string // patterns
	GroupBy    []string // of Grouped; alerts that agree in them are one notice
	GroupWait  time.Duration
	Repeat     time.Duration // while it fires; 0 is never
}
