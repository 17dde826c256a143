package alert

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"os"
	"strings"
	"time"

	"cw/loadspec/notify"
	"cw/monitor"
)

// mailTo sends a notice by mail. It is sent when one of the addresses takes
// it; those that do not are in the error then, which is a *partlyError.
func mailTo(ctx context.Context, s *monitor.SMTP, n monitor.Notice) error {
	from, err := mail.ParseAddress(s.From)
	if err != nil {
		return &notify.RefusedError{Err: fmt.Errorf("sender %q: %w", s.From, err)}
	}
	var to []*mail.Address
	for _, text := range s.To {
		a, err := mail.ParseAddress(text)
		if err != nil {
			return &notify.RefusedError{Err: fmt.Errorf("address %q: %w", text, err)}
		}
		to = append(to, a)
	}
	password := ""
	if s.User != "" {
		if password, err = secret(s.PasswordFile); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	err = converse(ctx, s, password, from, to, letter(from, to, n))
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("mail server %s: no answer in time: %w", s.Server, err)
	}
	return without(refusedByMail(err), password)
}

// refusedByMail marks what a mail server refused for good: codes 5yz.
func refusedByMail(err error) error {
	var answer *textproto.Error
	var partly *partlyError
	if errors.As(err, &answer) && answer.Code >= 500 && !errors.As(err, &partly) {
		return &notify.RefusedError{Err: err}
	}
	return err
}

// partlyError says that some have it and others do not.
type partlyError struct{ error }

func (e *partlyError) Unwrap() error { return e.error }

// converse is the talk with the mail server.
func converse(ctx context.Context, s *monitor.SMTP, password string, from *mail.Address, to []*mail.Address, text []byte) error {
	step := func(what string, err error) error {
		if err == nil {
			return nil
		}
		return fmt.Errorf("mail server %s: %s: %w", s.Server, what, err)
	}
	host, _, err := net.SplitHostPort(s.Server)
	if err != nil {
		return step("address", err)
	}
	roots, err := authorities(s.CAFile)
	if err != nil {
		return err
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: roots}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Server)
	if err != nil {
		return step("connect", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()
	if s.TLS == monitor.TLS {
		wrapped := tls.Client(conn, secure)
		if err := wrapped.HandshakeContext(ctx); err != nil {
			return step("TLS", err)
		}
		conn = wrapped
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return step("greeting", err)
	}
	if err := c.Hello(ownName()); err != nil {
		return step("EHLO", err)
	}
	if s.TLS != monitor.TLS && s.TLS != monitor.NoTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return fmt.Errorf("mail server %s does not offer STARTTLS, and nothing is sent in the clear: say tls: tls or tls: off", s.Server)
		}
		if err := c.StartTLS(secure); err != nil {
			return step("STARTTLS", err)
		}
	}
	if s.User != "" {
		if _, ok := c.TLSConnectionState(); !ok {
			return &notify.RefusedError{Err: fmt.Errorf("mail server %s: no password is sent without TLS", s.Server)}
		}
		if err := c.Auth(smtp.PlainAuth("", s.User, password, host)); err != nil {
			return step("log in as "+s.User, err)
		}
	}
	if err := c.Mail(from.Address); err != nil {
		return step("sender "+from.Address, err)
	}
	var refused []error
	for _, a := range to {
		if err := c.Rcpt(a.Address); err != nil {
			refused = append(refused, step("address "+a.Address, err))
		}
	}
	if len(refused) == len(to) {
		return errors.Join(refused...)
	}
	w, err := c.Data()
	if err == nil {
		if _, err = w.Write(text); err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		return step("message", err)
	}
	_ = c.Quit() // it has the message
	if len(refused) > 0 {
		return &partlyError{errors.Join(refused...)}
	}
	return nil
}

// ownName is what this machine calls itself to a mail server.
func ownName() string {
	name, err := os.Hostname()
	if err != nil || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "localhost"
	}
	return name
}

// letter is the mail: a plain text. Alerts hold the text of databases, so
// nothing of them reaches a header as it is.
func letter(from *mail.Address, to []*mail.Address, n monitor.Notice) []byte {
	var b bytes.Buffer
	field := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	var all []string
	for _, a := range to {
		all = append(all, a.String())
	}
	_, domain, ok := strings.Cut(from.Address, "@")
	if i := strings.LastIndexByte(from.Address, '@'); ok && i >= 0 {
		domain = from.Address[i+1:]
	}
	field("From", from.String())
	field("To", strings.Join(all, ",\r\n "))
	field("Subject", subject(n.Title))
	field("Date", n.At.Format(time.RFC1123Z))
	field("Message-ID", "<"+n.ID+"@"+domain+">")
	field("Auto-Submitted", "auto-generated") // no vacation answers it
	field("MIME-Version", "1.0")
	field("Content-Type", "text/plain; charset=utf-8")
	field("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(strings.ToValidUTF8(n.Text, "?"))) // into memory
	_ = w.Close()
	return b.Bytes()
}

// subject is a line as RFC 2047 has it; what becomes long is folded between
// its words.
func subject(title string) string {
	coded := mime.QEncoding.Encode("utf-8", monitor.OneLine(title, 200))
	return strings.ReplaceAll(coded, "?= =?", "?=\r\n =?")
}
