// Package sshtest is an SSH server inside the process: for tests, with
// scripted answers and faults, and for the playground, where it runs commands
// for real as hosts of a pretended network. It imitates what of OpenSSH's
// behaviour a client depends on; it is no server for the outside world.
package sshtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// Options say what a server does. The zero value listens on a free port of
// 127.0.0.1, makes a host key, refuses everybody, and would run commands for
// real.
type Options struct {
	Addr           string          // to listen on; "" is 127.0.0.1:0
	HostKeys       []ssh.Signer    // nil makes one of type ed25519
	AuthorizedKeys []ssh.PublicKey // who may come in, under any user name
	Password       string          // "" refuses passwords

	// Answer, when set, answers commands instead of running them. The
	// connection's end closes stdin.
	Answer func(c Call) int

	Shell      string              // login shell; "" is /bin/sh
	Home       string              // HOME and working directory; "" is /
	Env        []string            // added to the environment of commands
	Credential *syscall.Credential // who commands run as; needs root
	// SFTP is the argv of a program that speaks the SFTP protocol on its
	// standard streams. Without it, SFTP is served inside this process, or
	// refused when there is a Credential that it could not honour.
	SFTP []string

	MaxSessions int // per connection; 0 is 10, as OpenSSH
	Log         *slog.Logger
}

// Call is one command for Options.Answer.
type Call struct {
	User, Line     string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Server is a server that listens.
type Server struct {
	o        Options
	log      *slog.Logger
	listener net.Listener
	faults   faults

	mu    sync.Mutex
	keys  []ssh.Signer
	conns map[net.Conn]bool
	calls []string
	shut  bool
	wg    sync.WaitGroup
	procs processes
}

// Listen starts a server; Close ends it.
func Listen(o Options) (*Server, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Shell == "" {
		o.Shell = "/bin/sh"
	}
	if o.Home == "" {
		o.Home = "/"
	}
	if o.MaxSessions == 0 {
		o.MaxSessions = 10
	}
	s := &Server{o: o, keys: o.HostKeys, conns: map[net.Conn]bool{}, log: o.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if len(s.keys) == 0 {
		key, err := NewKey()
		if err != nil {
			return nil, err
		}
		s.keys = []ssh.Signer{key}
	}
	var err error
	if s.listener, err = net.Listen("tcp", o.Addr); err != nil {
		return nil, fmt.Errorf("listen for ssh: %w", err)
	}
	s.wg.Go(s.accept)
	return s, nil
}

// NewKey makes a fresh ed25519 key.
func NewKey() (ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an ssh key: %w", err)
	}
	return ssh.NewSignerFromKey(key)
}

// Addr is the IP address the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().(*net.TCPAddr).IP.String() }

// Port is the TCP port the server listens on.
func (s *Server) Port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// Close ends the server: listener, connections, and the commands on them. It
// returns when all of their processes have ended; those that do not end with
// their connection are killed.
func (s *Server) Close() {
	s.mu.Lock()
	s.shut = true
	_ = s.listener.Close()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// DropConnections closes all connections, as a lost network does.
func (s *Server) DropConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

// Calls are the command lines that were asked for so far.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

// Connections is the number of connections that are open now.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// SetHostKeys changes the host keys for connections to come.
func (s *Server) SetHostKeys(keys ...ssh.Signer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.log.Error("accept failed", "error", err)
			}
			return
		}
		if s.faults.busy() {
			_, _ = c.Write([]byte("Exceeded MaxStartups\r\n"))
			_ = c.Close()
			continue
		}
		c = s.faults.wrap(c)
		s.mu.Lock()
		if s.shut {
			_ = c.Close()
		}
		s.conns[c] = true
		keys := s.keys
		s.mu.Unlock()
		s.wg.Go(func() {
			s.serve(c, keys)
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

var errRefused = errors.New("refused")

func (s *Server) config(keys []ssh.Signer) *ssh.ServerConfig {
	c := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if s.faults.refusesAuth() {
				return nil, errRefused
			}
			for _, k := range s.o.AuthorizedKeys {
				if subtle.ConstantTimeCompare(k.Marshal(), key.Marshal()) == 1 {
					return &ssh.Permissions{}, nil
				}
			}
			return nil, errRefused
		},
	}
	if s.o.Password != "" {
		c.PasswordCallback = func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if s.faults.refusesAuth() || subtle.ConstantTimeCompare(password, []byte(s.o.Password)) != 1 {
				return nil, errRefused
			}
			return &ssh.Permissions{}, nil
		}
	}
	for _, k := range keys {
		c.AddHostKey(k)
	}
	return c
}

// serve handles one connection until it ends.
func (s *Server) serve(raw net.Conn, keys []ssh.Signer) {
	defer func() { _ = raw.Close() }()
	conn, channels, reqs, err := ssh.NewServerConn(raw, s.config(keys))
	if err != nil {
		s.log.Debug("handshake failed", "error", err)
		return
	}
	var sessions counter
	var wg sync.WaitGroup
	wg.Go(func() { answerGlobal(reqs) })
	for nc := range channels {
		switch nc.ChannelType() {
		case "session":
			if !sessions.enter(s.o.MaxSessions) {
				_ = nc.Reject(ssh.ConnectionFailed, "open failed") // OpenSSH's words
				continue
			}
			wg.Go(func() { s.session(conn, raw, nc, sessions.leave) })
		case "direct-tcpip", "direct-streamlocal@openssh.com":
			wg.Go(func() { s.forward(nc) })
		default:
			_ = nc.Reject(ssh.UnknownChannelType, "not here")
		}
	}
	wg.Wait()
}

// answerGlobal answers keepalives, with a failure as OpenSSH does.
func answerGlobal(reqs <-chan *ssh.Request) {
	for r := range reqs {
		if r.WantReply {
			_ = r.Reply(false, nil)
		}
	}
}

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) enter(limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n >= limit {
		return false
	}
	c.n++
	return true
}

func (c *counter) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n--
}
