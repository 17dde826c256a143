// Package alert tells people what a monitor found. What is told to whom is
// derived from the store alone (its alerts, its silences, and what was told
// before), and claimed there before it is sent: each notice reaches each
// receiver once, however many monitors there are and whenever one dies.
package alert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"cw/loadspec/notify"
	"cw/monitor"
)

// Timeouts of one try.
const (
	mailTimeout = 30 * time.Second
	// spareTime is how much longer than a try a claim lasts, before another
	// monitor takes it for abandoned.
	spareTime = 15 * time.Second
)

// timeout is how long one try to tell a receiver may take.
func timeout(r monitor.Receiver) time.Duration {
	switch {
	case r.Exec != nil:
		return r.Exec.Timeout
	case r.SMTP != nil:
		return mailTimeout
	}
	return notify.WebhookTimeout
}

// Send tells a receiver a notice, once. What is refused for good, so that
// another try makes no sense, is a *notify.RefusedError. No error holds a
// secret of the receiver.
func Send(ctx context.Context, r monitor.Receiver, n monitor.Notice) error {
	ctx, cancel := context.WithTimeout(ctx, timeout(r)+time.Second)
	defer cancel()
	n, err := r.Fill(n)
	if err != nil {
		return &notify.RefusedError{Err: err}
	}
	switch {
	case r.Webhook != nil:
		return webhook(ctx, r.Webhook, n)
	case r.SMTP != nil:
		return mailTo(ctx, r.SMTP, n)
	case r.Exec != nil:
		body, err := json.Marshal(n)
		if err != nil {
			return err
		}
		return notify.Command(ctx, r.Exec.Command, r.Exec.Timeout, body, environment(n)...)
	}
	return &notify.RefusedError{Err: fmt.Errorf("receiver %s has neither webhook nor smtp nor exec", r.Name)}
}

func webhook(ctx context.Context, w *monitor.Webhook, n monitor.Notice) error {
	h := notify.Hook{URL: w.URL, Key: n.ID}
	var err error
	if w.URLFile != "" {
		if h.URL, err = secret(w.URLFile); err != nil {
			return err
		}
		if err := monitor.CheckHook(h.URL); err != nil {
			return fmt.Errorf("the URL in %s %w", w.URLFile, err)
		}
	}
	if w.TokenFile != "" {
		if h.Token, err = secret(w.TokenFile); err != nil {
			return err
		}
	}
	var body []byte
	if w.JSON != "" {
		body, err = monitor.RenderJSON("json", w.JSON, n)
	} else {
		body, err = json.Marshal(n)
	}
	if err != nil {
		return &notify.RefusedError{Err: err}
	}
	roots, err := authorities(w.CAFile)
	if err != nil {
		return err
	}
	client := &http.Client{
		Timeout: notify.WebhookTimeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, // the next notice may be hours away
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, InsecureSkipVerify: w.InsecureSkipVerify}, //nolint:gosec // the operator's word, for tests
		},
		// What is elsewhere is for the operator to write down: a token is not
		// carried there.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return without(notify.Post(ctx, client, h, body), h.URL, h.Token)
}

// environment is what a command has in its environment.
func environment(n monitor.Notice) []string {
	same := func(of func(monitor.NoticeAlert) string) string {
		for _, a := range n.Alerts {
			if of(a) != of(n.Alerts[0]) {
				return ""
			}
		}
		if len(n.Alerts) == 0 {
			return ""
		}
		return of(n.Alerts[0])
	}
	var out []string
	for _, v := range [][2]string{
		{"STATUS", n.Status},
		{"REASON", n.Reason},
		{"SEVERITY", n.Severity},
		{"TITLE", n.Title},
		{"TEXT", n.Text},
		{"ID", n.ID},
		{"COUNT", strconv.Itoa(len(n.Alerts))},
		{"CLUSTER", same(func(a monitor.NoticeAlert) string { return a.Cluster })},
		{"RULE", same(func(a monitor.NoticeAlert) string { return a.Rule })},
		{"HOST", same(func(a monitor.NoticeAlert) string { return a.Host })},
	} {
		const most = 32 << 10 // the kernel refuses what is above 128 KiB
		value := strings.ReplaceAll(v[1], "\x00", "?")
		if len(value) > most {
			value = strings.ToValidUTF8(value[:most], "") + "…"
		}
		out = append(out, "CW_ALERT_"+v[0]+"="+value)
	}
	return out
}

// secret reads a file of one secret.
func secret(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	s := strings.TrimSpace(string(data))
	if s == "" {
		return "", fmt.Errorf("read a secret: %s is empty", file)
	}
	return s, nil
}

// authorities are the certificates of a file; nil, for "", are the system's.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("read the certificates: %s holds none in PEM", file)
	}
	return pool, nil
}

// without takes secrets out of an error: servers like to repeat what they were
// sent.
func without(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "[redacted]")
		}
	}
	if text == err.Error() {
		return err
	}
	var refused *notify.RefusedError
	if errors.As(err, &refused) {
		return &notify.RefusedError{Err: errors.New(text)}
	}
	return errors.New(text)
}
