package playground

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/crypto/ssh"

	"cw/remote/sshtest"
)

// Serve is the playground's process: it serves SSH for all hosts until ctx
// ends, and says "ready" on ready once they answer.
func Serve(ctx context.Context, dir string, ready io.WriteCloser, logger *slog.Logger) error {
	s, err := Read(dir)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(s.file("authorized_keys"))
	if err != nil {
		return fmt.Errorf("serve playground: %w", err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return fmt.Errorf("serve playground: authorized_keys: %w", err)
	}
	var servers []*sshtest.Server
	defer func() {
		for _, server := range servers {
			server.Close()
		}
	}()
	for _, h := range s.Hosts {
		server, err := serveHost(s, h, key, logger)
		if err != nil {
			return err
		}
		servers = append(servers, server)
	}
	if _, err := io.WriteString(ready, "ready\n"); err != nil {
		return err
	}
	_ = ready.Close()
	<-ctx.Done()
	return nil
}

func serveHost(s *State, h Host, key ssh.PublicKey, logger *slog.Logger) (*sshtest.Server, error) {
	pem, err := os.ReadFile(filepath.Join(h.Home, "ssh_host_key"))
	if err != nil {
		return nil, fmt.Errorf("serve host %s: %w", h.Name, err)
	}
	hostKey, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		return nil, fmt.Errorf("serve host %s: %w", h.Name, err)
	}
	server, err := sshtest.Listen(sshtest.Options{
		Addr:           net.JoinHostPort(h.Address, strconv.Itoa(s.SSHPort)),
		HostKeys:       []ssh.Signer{hostKey},
		AuthorizedKeys: []ssh.PublicKey{key},
		Home:           h.Home,
		Env:            []string{"CW_PLAYGROUND_HOST=" + h.Name},
		Log:            logger.With("host", h.Name),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("serve host %s", h.Name), err)
	}
	return server, nil
}
