package labtest

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"cw/monitor"
	"cw/state"
)

// people are those who are told: a webhook and a mailbox.
type people struct {
	mu      sync.Mutex
	notices []monitor.Notice
	mails   []string // whole messages
}

// people makes them and gives the monitors their addresses.
func (s *guarded) people() *people {
	p := &people{}
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n monitor.Notice
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		p.mu.Lock()
		p.notices = append(p.notices, n)
		p.mu.Unlock()
	}))
	s.t.Cleanup(hook.Close)
	mail, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = mail.Close() })
	go func() {
		for {
			c, err := mail.Accept()
			if err != nil {
				return
			}
			go p.post(c)
		}
	}()
	s.Hook, s.Mail = hook.URL, mail.Addr().String()
	return p
}

// post takes the mails of one connection: enough of RFC 5321 for a sender that
// keeps to it, which monitor/alert tests strictly.
func (p *people) post(c net.Conn) {
	defer func() { _ = c.Close() }()
	say := func(line string) { _, _ = c.Write([]byte(line + "\r\n")) }
	say("220 lab")
	for in := bufio.NewReader(c); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.Fields(line + " x")[0]); verb {
		case "DATA":
			say("354 go on")
			text := ""
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				text += line
			}
			p.mu.Lock()
			p.mails = append(p.mails, text)
			p.mu.Unlock()
			say("250 kept")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 lab")
		}
	}
}

// config is the defaults, and who is told.
func (p place) config() monitor.Config {
	c := monitor.Defaults()
	c.Receivers = []monitor.Receiver{
		{Name: "hook", Resolved: true, Webhook: &monitor.Webhook{URL: p.Hook}},
		{Name: "mail", Resolved: true, SMTP: &monitor.SMTP{Server: p.Mail, From: "cw@lab.invalid", To: []string{"dba@lab.invalid"}, TLS: "off"}},
	}
	c.Routes = []monitor.Route{{Receivers: []string{"hook", "mail"}, GroupBy: []string{"cluster", "rule", "host"}, GroupWait: monitor.DefaultGroupWait}}
	return c
}

// once checks that of every alert the webhook and the mailbox were told once
// that it fires and once that it is over, whoever of the monitors did it.
func (p *people) once(s *guarded, alerts []state.Alert) {
	s.t.Helper()
	firing := map[string]int{}
	resolved := map[string]int{}
	read := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		clear(firing)
		clear(resolved)
		for _, n := range p.notices {
			for _, a := range n.Alerts {
				switch n.Reason {
				case monitor.ReasonFired:
					firing[a.ID]++
				case monitor.ReasonResolved:
					resolved[a.ID]++
				}
			}
		}
		return len(resolved) == len(alerts) && len(p.mails) >= len(p.notices)
	}
	s.until("everybody is told", time.Minute, read)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range alerts {
		if firing[a.ID] != 1 || resolved[a.ID] != 1 {
			s.t.Errorf("alert %s (%s) was told %d times, and its end %d times", a.ID, a.Message, firing[a.ID], resolved[a.ID])
		}
	}
	ids := map[string]bool{}
	for _, m := range p.mails {
		id := ""
		for line := range strings.Lines(m) {
			if rest, ok := strings.CutPrefix(line, "Message-ID:"); ok {
				id = strings.TrimSpace(rest)
			}
		}
		if id == "" || ids[id] {
			s.t.Errorf("a mail came twice, or has no name: %q", id)
		}
		ids[id] = true
	}
	if len(p.mails) != len(p.notices) {
		s.t.Errorf("%d mails, %d calls of the webhook", len(p.mails), len(p.notices))
	}
	for _, n := range p.notices {
		s.t.Logf("told: %s", n.Title)
	}
}
