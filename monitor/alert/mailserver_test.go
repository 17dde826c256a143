package alert

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/monitor"
)

// mailServer takes mail and is strict about how: commands in their order, CRLF
// at the end of each line, no line too long, no bare dot.
type mailServer struct {
	addr   string
	mode   string // as monitor.SMTP.TLS
	config *tls.Config
	refuse map[string]string // answers to commands that begin so
	mu     sync.Mutex
	mails  []letterIn
	wrong  []string
	logins []string
}

type letterIn struct {
	from string
	to   []string
	data string
}

func startMail(t *testing.T, mode string, refuse map[string]string) (s *mailServer, caFile string) {
	t.Helper()
	cert, ca := madeCertificate(t)
	s = &mailServer{mode: mode, config: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, refuse: refuse}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(time.Minute))
				if err := s.talk(conn); err != nil && !errors.Is(err, io.EOF) {
					s.note("connection: %v", err)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return s, ca
}

func (s *mailServer) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

func (s *mailServer) talk(conn net.Conn) error {
	secure := s.mode == monitor.TLS
	if secure {
		conn = tls.Server(conn, s.config)
	}
	in := bufio.NewReader(conn)
	say := func(text string) { _, _ = io.WriteString(conn, text+"\r\n") }
	line := func() (string, error) {
		text, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		short, ok := strings.CutSuffix(text, "\r\n")
		if !ok || strings.ContainsAny(short, "\r\n\x00") {
			s.note("a line that does not end as it should: %q", text)
		}
		if len(text) > 1000 {
			s.note("a line of %d bytes", len(text))
		}
		return short, nil
	}
	say("220 mail.test ESMTP")
	step, m := "greeted", letterIn{}
	for {
		cmd, err := line()
		if err != nil {
			return err
		}
		verb, _, _ := strings.Cut(strings.ToUpper(cmd), " ")
		expect := map[string]string{"STARTTLS": "hello", "AUTH": "hello", "MAIL": "hello", "RCPT": "mail", "DATA": "rcpt"}[verb]
		if expect != "" && step != expect && (verb != "RCPT" || step != "rcpt") {
			s.note("%s after %s", verb, step)
			say("503 bad sequence of commands")
			continue
		}
		if answer := s.answer(cmd); answer != "" {
			say(answer)
			continue
		}
		switch verb {
		case "EHLO":
			step = "hello"
			say("250-mail.test")
			if s.mode == monitor.StartTLS && !secure {
				say("250-STARTTLS")
			}
			if secure {
				say("250-AUTH PLAIN")
			}
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go ahead")
			conn = tls.Server(conn, s.config)
			in, secure, step = bufio.NewReader(conn), true, "greeted"
		case "AUTH":
			if !secure {
				s.note("a password in the clear")
			}
			plain, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(cmd, "AUTH PLAIN "))
			if err != nil {
				s.note("AUTH: %v", err)
			}
			s.mu.Lock()
			s.logins = append(s.logins, string(plain))
			s.mu.Unlock()
			say("235 welcome")
		case "MAIL":
			m, step = letterIn{from: cmd}, "mail"
			say("250 ok")
		case "RCPT":
			m.to, step = append(m.to, cmd), "rcpt"
			say("250 ok")
		case "DATA":
			say("354 go on")
			var data strings.Builder
			for {
				text, err := line()
				if err != nil {
					return err
				}
				if text == "." {
					break
				}
				data.WriteString(strings.TrimPrefix(text, ".") + "\r\n")
			}
			m.data = data.String()
			if answer := s.answer("."); answer != "" {
				say(answer)
				continue
			}
			s.mu.Lock()
			s.mails = append(s.mails, m)
			s.mu.Unlock()
			step = "hello"
			say("250 queued")
		case "QUIT":
			say("221 bye")
			return nil
		default:
			say("502 what?")
		}
	}
}

func (s *mailServer) answer(cmd string) string {
	for begin, answer := range s.refuse {
		if strings.HasPrefix(cmd, begin) {
			return answer
		}
	}
	return ""
}
