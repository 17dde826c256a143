package sshtest

import (
	"io"
	"net"
	"strconv"

	"golang.org/x/crypto/ssh"
)

// forward serves a connection that the client opens through us.
func (s *Server) forward(nc ssh.NewChannel) {
	network, addr := "", ""
	if nc.ChannelType() == "direct-tcpip" {
		var m struct {
			Host   string
			Port   uint32
			Origin string
			OPort  uint32
		}
		if err := ssh.Unmarshal(nc.ExtraData(), &m); err != nil {
			_ = nc.Reject(ssh.ConnectionFailed, "bad request")
			return
		}
		network, addr = "tcp", net.JoinHostPort(m.Host, strconv.Itoa(int(m.Port)))
	} else {
		var m struct {
			Path     string
			Reserved string
			RPort    uint32
		}
		if err := ssh.Unmarshal(nc.ExtraData(), &m); err != nil {
			_ = nc.Reject(ssh.ConnectionFailed, "bad request")
			return
		}
		network, addr = "unix", m.Path
	}
	out, err := net.Dial(network, addr)
	if err != nil {
		_ = nc.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer func() { _ = out.Close() }()
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	go ssh.DiscardRequests(reqs)
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(out, ch)
		if half, ok := out.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		close(done)
	}()
	_, _ = io.Copy(ch, out)
	_ = ch.CloseWrite()
	<-done
	_ = ch.Close()
}
