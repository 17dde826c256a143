package sshtest

import (
	"io"
	"net"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// session serves one session channel: one command, or SFTP.
func (s *Server) session(conn *ssh.ServerConn, raw net.Conn, nc ssh.NewChannel, leave func()) {
	ch, reqs, err := nc.Accept()
	if err != nil {
		leave()
		return
	}
	defer func() {
		leave() // first: the client may open its next session at once
		_ = ch.Close()
	}()
	for r := range reqs {
		switch r.Type {
		case "env":
			_ = r.Reply(false, nil) // as sshd without AcceptEnv
		case "exec", "shell":
			line := ""
			if r.Type == "exec" {
				var m struct{ Line string }
				if err := ssh.Unmarshal(r.Payload, &m); err != nil {
					_ = r.Reply(false, nil)
					continue
				}
				line = m.Line
			}
			s.command(conn, raw, ch, reqs, r, line)
			return
		case "subsystem":
			var m struct{ Name string }
			var refuse bool
			s.faults.with(func(f *faults) { refuse = f.noSFTP })
			inside := s.o.SFTP == nil && s.o.Credential == nil
			if ssh.Unmarshal(r.Payload, &m) != nil || m.Name != "sftp" || refuse || !inside && s.o.SFTP == nil {
				_ = r.Reply(false, nil)
				continue
			}
			_ = r.Reply(true, nil)
			if !inside {
				s.run(raw, ch, reqs, s.o.SFTP, "")
				return
			}
			go ssh.DiscardRequests(reqs)
			s.sftp(ch)
			return
		default: // pty-req, window-change, signal: there is no terminal here
			if r.WantReply {
				_ = r.Reply(false, nil)
			}
		}
	}
}

func (s *Server) command(conn *ssh.ServerConn, raw net.Conn, ch ssh.Channel, reqs <-chan *ssh.Request, r *ssh.Request, line string) {
	var refuse bool
	var out, errs string
	s.faults.with(func(f *faults) { refuse, out, errs = f.noExec, f.noiseOut, f.noiseErr })
	_ = r.Reply(!refuse, nil)
	if refuse {
		return
	}
	s.mu.Lock()
	s.calls = append(s.calls, line)
	s.mu.Unlock()
	_, _ = io.WriteString(ch, out)
	_, _ = io.WriteString(ch.Stderr(), errs)
	if s.o.Answer == nil {
		args := []string{s.o.Shell, "-c", line}
		if line == "" {
			args = []string{s.o.Shell}
		}
		s.run(raw, ch, reqs, args, conn.User())
		return
	}
	go ssh.DiscardRequests(reqs)
	if s.faults.dropsNow() {
		_ = raw.Close()
		return
	}
	code := s.o.Answer(Call{User: conn.User(), Line: line, Stdin: ch, Stdout: ch, Stderr: ch.Stderr()})
	sendStatus(ch, code)
}

func sendStatus(ch ssh.Channel, code int) {
	_ = ch.CloseWrite()
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(code)}))
}

// sftp serves SFTP with the rights of this process; relative paths start at
// Home.
func (s *Server) sftp(ch ssh.Channel) {
	server, err := sftp.NewServer(ch, sftp.WithServerWorkingDirectory(s.o.Home))
	if err != nil {
		s.log.Error("sftp failed", "error", err)
		return
	}
	if err := server.Serve(); err != nil && err != io.EOF { //nolint:errorlint // Serve returns it bare
		s.log.Debug("sftp ended", "error", err)
	}
	_ = server.Close()
}
