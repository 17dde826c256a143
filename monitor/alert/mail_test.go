package alert

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cw/loadspec/notify"
	"cw/monitor"
	"cw/state"
)

// nasty is a notice with what databases may hold.
func nasty() monitor.Notice {
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	long := strings.Repeat("größer ", 60)
	return monitor.NewNotice("cw-0123", monitor.Firing, monitor.ReasonFired, "mail", nil, at, 0, []state.Alert{{
		ID: "a1", Rule: "inspect.x", Severity: state.Critical, Cluster: "dw1", FiredAt: at, BeganAt: at,
		Message: "table »x\r\nBcc: evil@example.com\r\n\r\n.\r\n.hidden\r\nMAIL FROM:<x>\n.\n" + long, Remedy: ".\n..\nlook = see 100%",
	}})
}

func TestMail(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{monitor.StartTLS, monitor.TLS, monitor.NoTLS} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s, ca := startMail(t, mode, nil)
			r := monitor.Receiver{Name: "mail", SMTP: &monitor.SMTP{Server: s.addr, From: "Wächter <cw@example.com>", To: []string{"a@example.com", "B <b@example.org>"}, TLS: mode, CAFile: ca}}
			if mode != monitor.NoTLS {
				r.SMTP.User, r.SMTP.PasswordFile = "watcher", secretFile(t, "pass word\n")
			}
			n := nasty()
			if err := Send(t.Context(), r, n); err != nil {
				t.Fatal(err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.wrong) > 0 || len(s.mails) != 1 {
				t.Fatalf("%d mails, wrong: %q", len(s.mails), s.wrong)
			}
			if want := []string{"\x00watcher\x00pass word"}; mode != monitor.NoTLS && !slices.Equal(s.logins, want) {
				t.Errorf("log in %q", s.logins)
			}
			got := s.mails[0]
			if got.from != "MAIL FROM:<cw@example.com> BODY=8BITMIME" || !slices.Equal(got.to, []string{"RCPT TO:<a@example.com>", "RCPT TO:<b@example.org>"}) {
				t.Errorf("%q, %q", got.from, got.to)
			}
			checkLetter(t, got.data, n)
		})
	}
}

// checkLetter reads a mail as a program for mail does.
func checkLetter(t *testing.T, data string, n monitor.Notice) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for name := range m.Header {
		if !slices.Contains([]string{"From", "To", "Subject", "Date", "Message-Id", "Auto-Submitted", "Mime-Version", "Content-Type", "Content-Transfer-Encoding"}, name) {
			t.Errorf("a header that nobody wrote: %s", name)
		}
	}
	title, err := (&mime.WordDecoder{}).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || title != n.Title {
		t.Errorf("subject %q, want %q: %v", title, n.Title, err)
	}
	head, _, _ := strings.Cut(data, "\r\n\r\n")
	if regexp.MustCompile(`[^\x20-\x7e\r\n]`).MatchString(head) {
		t.Errorf("a header that is not ASCII: %q", head)
	}
	for l := range strings.SplitSeq(head, "\r\n") {
		if len(l) > 300 {
			t.Errorf("a header line of %d bytes", len(l))
		}
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 2 {
		t.Errorf("to %v, %v", to, err)
	}
	if from, err := m.Header.AddressList("From"); err != nil || from[0].Name != "Wächter" {
		t.Errorf("from %v, %v", from, err)
	}
	if at, err := m.Header.Date(); err != nil || !at.Equal(n.At) {
		t.Errorf("date %v, %v", at, err)
	}
	if m.Header.Get("Message-ID") != "<"+n.ID+"@example.com>" {
		t.Errorf("id %s", m.Header.Get("Message-ID"))
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	want := strings.ReplaceAll(strings.ReplaceAll(n.Text, "\r\n", "\n"), "\n", "\r\n")
	if err != nil || strings.TrimRight(string(body), "\r\n") != strings.TrimRight(want, "\r\n") {
		t.Errorf("body %q, want %q: %v", body, want, err)
	}
}

func TestMailRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		mode    string
		refuse  map[string]string
		err     string
		refused bool
		sent    bool
	}{
		{"greylisted", monitor.NoTLS, map[string]string{"RCPT": "451 4.7.1 try again later"}, "address a@example.com: 451", false, false},
		{"unknown", monitor.NoTLS, map[string]string{"RCPT": "550 5.1.1 no such user"}, "address a@example.com: 550", true, false},
		{"one unknown", monitor.NoTLS, map[string]string{"RCPT TO:<a@": "550 5.1.1 no such user"}, "address a@example.com: 550", false, true},
		{"sender", monitor.NoTLS, map[string]string{"MAIL": "553 not you"}, "sender cw@example.com: 553", true, false},
		{"full", monitor.NoTLS, map[string]string{".": "452 4.3.1 disk full"}, "message: 452", false, false},
		{"text", monitor.NoTLS, map[string]string{".": "554 5.7.1 spam"}, "message: 554", true, false},
		{"no log in", monitor.TLS, map[string]string{"AUTH": "535 5.7.8 not with tops3cret"}, "not with [redacted]", true, false},
		{"busy", monitor.NoTLS, map[string]string{"EHLO": "421 busy", "HELO": "421 busy"}, "EHLO: 421", false, false},
		{"no STARTTLS", monitor.StartTLS, nil, "does not offer STARTTLS, and nothing is sent in the clear", false, false},
		{"TLS that is none", monitor.TLS, nil, "TLS: ", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			serverMode := c.mode
			if strings.Contains(c.name, "TLS") {
				serverMode = monitor.NoTLS
			}
			s, ca := startMail(t, serverMode, c.refuse)
			r := monitor.Receiver{Name: "mail", SMTP: &monitor.SMTP{Server: s.addr, From: "cw@example.com", To: []string{"a@example.com", "b@example.com"}, TLS: c.mode, CAFile: ca}}
			if c.mode != monitor.NoTLS {
				r.SMTP.User, r.SMTP.PasswordFile = "watcher", secretFile(t, "tops3cret")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			err := Send(ctx, r, nasty())
			var refused *notify.RefusedError
			if err == nil || !strings.Contains(err.Error(), c.err) || errors.As(err, &refused) != c.refused || strings.Contains(err.Error(), "tops3cret") {
				t.Errorf("error %v, refused %v", err, errors.As(err, &refused))
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.mails) == 1 != c.sent || len(s.logins) > 0 && c.name != "no log in" {
				t.Errorf("%d mails, %q", len(s.mails), s.logins)
			}
			how, _ := New(Options{Send: func(context.Context, monitor.Receiver, monitor.Notice) error { return err }}).send(ctx, r, nasty())
			if want := map[bool]string{true: state.Sent}[c.sent]; want != "" && how != want {
				t.Errorf("it counts as %s", how)
			}
		})
	}
}

// A server whose certificate nobody knows gets neither the password nor the
// mail.
func TestMailForeignCertificate(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{monitor.StartTLS, monitor.TLS} {
		s, _ := startMail(t, mode, nil)
		_, foreign := madeCertificate(t)
		r := monitor.Receiver{SMTP: &monitor.SMTP{Server: s.addr, From: "cw@example.com", To: []string{"a@example.com"}, TLS: mode, CAFile: foreign, User: "u", PasswordFile: secretFile(t, "p")}}
		err := Send(t.Context(), r, nasty())
		if err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", mode, err)
		}
		s.mu.Lock()
		if len(s.mails) > 0 || len(s.logins) > 0 {
			t.Errorf("%s: %v %v", mode, s.mails, s.logins)
		}
		s.mu.Unlock()
	}
}

// A server that says nothing is left when the time is up.
func TestMailSilentServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r := monitor.Receiver{SMTP: &monitor.SMTP{Server: l.Addr().String(), From: "cw@example.com", To: []string{"a@example.com"}, TLS: monitor.NoTLS}}
	var refused *notify.RefusedError
	if err := Send(ctx, r, nasty()); err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("error %v", err)
	}
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// FuzzLetter: whatever an alert says, a mail has the headers that cw wrote and
// the text that was meant.
func FuzzLetter(f *testing.F) {
	f.Add("cw: critical: x", "text\n.\nmore")
	f.Add("a\r\nBcc: x@y\r\n\r\nbody", "\r\n.\r\n")
	f.Add("=?utf-8?q?x?= ?= =?", "=\n = \t\n")
	f.Fuzz(func(t *testing.T, title, text string) {
		n := monitor.Notice{ID: "cw-1", Title: title, Text: text, At: time.Unix(1e9, 0)}
		from, to := &mail.Address{Address: "cw@example.com"}, []*mail.Address{{Name: "ü", Address: "a@example.com"}}
		data := letter(from, to, n)
		m, err := mail.ReadMessage(bytes.NewReader(data))
		if err != nil || len(m.Header) != 9 {
			t.Fatalf("%d headers: %v in %q", len(m.Header), err, data)
		}
		for l := range bytes.SplitSeq(data, []byte("\r\n")) {
			if len(l) > 990 || bytes.ContainsAny(l, "\r\n") {
				t.Fatalf("line %q", l)
			}
		}
	})
}
