package remote

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"cw/remote/sshtest"
)

// fixture is a server, a client key that it accepts, and a pool.
type fixture struct {
	server *sshtest.Server
	dir    string
	key    string // path of the client key
	pub    ssh.PublicKey
	pool   *Pool
	target Target
}

// newKeyFile writes a private key in OpenSSH's format; phrase may be empty.
func newKeyFile(t testing.TB, path, phrase string) ssh.PublicKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if phrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(phrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer.PublicKey()
}

func newFixture(t *testing.T, so sshtest.Options, po Options) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir()}
	f.key = filepath.Join(f.dir, "key")
	f.pub = newKeyFile(t, f.key, "")
	so.AuthorizedKeys = append(so.AuthorizedKeys, f.pub)
	if so.Home == "" {
		so.Home = f.dir
	}
	f.server = listen(t, so)
	if po.KnownHosts == "" {
		po.KnownHosts = filepath.Join(f.dir, "known_hosts")
	}
	if po.ConnectTimeout == 0 {
		po.ConnectTimeout = 20 * time.Second
	}
	f.pool = NewPool(po)
	t.Cleanup(f.pool.Close)
	f.target = f.targetOf(f.server)
	return f
}

func listen(t *testing.T, o sshtest.Options) *sshtest.Server {
	t.Helper()
	s, err := sshtest.Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func (f *fixture) targetOf(s *sshtest.Server) Target {
	return Target{Name: "db1", Address: s.Addr(), Port: s.Port(), User: "deploy", IdentityFile: f.key}
}

func (f *fixture) host() *Host { return f.pool.Host(f.target) }

// mustRun runs a shell script on the host.
func mustRun(t *testing.T, h *Host, script string) string {
	t.Helper()
	r, err := h.Run(t.Context(), Cmd{Args: []string{"/bin/sh", "-c", script}})
	if err != nil {
		t.Fatalf("run %q: %v", script, err)
	}
	return string(r.Stdout)
}
