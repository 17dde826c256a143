package remote

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"cw/fault"
	"cw/remote/sshtest"
)

func TestWrongKeyIsAnAuthError(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	other := filepath.Join(f.dir, "other")
	newKeyFile(t, other, "")
	f.target.IdentityFile = other
	err := f.host().Connect(t.Context())
	var auth *AuthError
	if !errors.As(err, &auth) || fault.KindOf(err) != fault.Auth {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(err.Error(), other) || !strings.Contains(fault.HintOf(err), "ssh -p ") || !strings.Contains(fault.HintOf(err), "-i "+other) {
		t.Errorf("error %v, hint %s", err, fault.HintOf(err))
	}
}

func TestMissingOrBrokenKeyFile(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	f.target.IdentityFile = filepath.Join(f.dir, "nothing")
	if err := f.host().Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "no such file") || fault.KindOf(err) != fault.Auth {
		t.Errorf("got %v, kind %d", err, fault.KindOf(err))
	}
	f.target.Name, f.target.IdentityFile = "db2", filepath.Join(f.dir, "broken")
	if err := os.WriteFile(f.target.IdentityFile, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.host().Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "not a private key") {
		t.Errorf("got %v", err)
	}
}

func TestPassphraseIsAskedForOnce(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	answers := []string{"wrong", "secret"}
	prompt := func(_ context.Context, q string) (string, error) {
		if !strings.HasPrefix(q, "Passphrase of ") {
			t.Errorf("question %q", q)
		}
		return answers[min(int(asked.Add(1)), len(answers))-1], nil
	}
	dir := t.TempDir()
	locked := filepath.Join(dir, "locked")
	pub := newKeyFile(t, locked, "secret")
	f := newFixture(t, sshtest.Options{AuthorizedKeys: []ssh.PublicKey{pub}}, Options{Prompt: prompt})
	second := listen(t, sshtest.Options{AuthorizedKeys: []ssh.PublicKey{pub}})
	var hosts []*Host
	for i, s := range []*sshtest.Server{f.server, second, f.server, second} {
		target := f.targetOf(s)
		target.Name, target.IdentityFile = string(rune('a'+i)), locked
		hosts = append(hosts, f.pool.Host(target))
	}
	if _, err := Each(t.Context(), hosts, 0, func(ctx context.Context, h *Host) (any, error) { return nil, h.Connect(ctx) }); err != nil {
		t.Fatal(err)
	}
	f.server.DropConnections()
	mustRun(t, hosts[0], "true")
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times, want one wrong and one right answer", n)
	}
}

// A passphrase is not asked for when the host does not want that key.
func TestNoQuestionForAKeyThatIsNotWanted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{Prompt: func(_ context.Context, q string) (string, error) {
		if strings.HasPrefix(q, "Passphrase") {
			t.Errorf("asked %q", q)
		}
		return "", errors.New("nobody here")
	}})
	f.target.IdentityFile = filepath.Join(f.dir, "locked")
	newKeyFile(t, f.target.IdentityFile, "secret")
	if err := f.host().Connect(t.Context()); fault.KindOf(err) != fault.Auth {
		t.Errorf("got %v", err)
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	prompt := func(_ context.Context, q string) (string, error) {
		if asked.Add(1) == 1 {
			return "typo", nil
		}
		return "s3cret", nil
	}
	for name, tc := range map[string]struct {
		file   string
		prompt func(context.Context, string) (string, error)
		ok     bool
	}{
		"file":       {"s3cret\nsecond line\n", nil, true},
		"wrong file": {"nonsense\n", nil, false},
		"prompt":     {"", prompt, true},
		"neither":    {"", nil, false},
	} {
		f := newFixture(t, sshtest.Options{Password: "s3cret"}, Options{Prompt: tc.prompt})
		f.target.IdentityFile = filepath.Join(f.dir, "other")
		newKeyFile(t, f.target.IdentityFile, "")
		if tc.file != "" {
			f.target.PasswordFile = filepath.Join(f.dir, "password")
			if err := os.WriteFile(f.target.PasswordFile, []byte(tc.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := f.host().Connect(t.Context())
		if (err == nil) != tc.ok || !tc.ok && fault.KindOf(err) != fault.Auth {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the password is in the error", name)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

func TestAgent(t *testing.T) {
	// Not parallel: SSH_AUTH_SOCK is the process's.
	dir := t.TempDir()
	keyring := agent.NewKeyring()
	held := filepath.Join(dir, "held")
	pub := newKeyFile(t, held, "")
	text, err := os.ReadFile(held)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ssh.ParseRawPrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := keyring.Add(agent.AddedKey{PrivateKey: raw}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(keyring, c) }()
		}
	}()
	t.Setenv("SSH_AUTH_SOCK", l.Addr().String())
	t.Setenv("HOME", dir)

	config := filepath.Join(dir, "config")
	if err := os.WriteFile(config, []byte("Host only\n  HostName 127.0.0.1\n  IdentitiesOnly yes\n  IdentityFile "+filepath.Join(dir, "id")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	newKeyFile(t, filepath.Join(dir, "id"), "")
	f := newFixture(t, sshtest.Options{AuthorizedKeys: []ssh.PublicKey{pub}}, Options{ConfigFile: config})
	f.target.IdentityFile = ""
	if err := f.host().Connect(t.Context()); err != nil {
		t.Errorf("by the agent alone: %v", err)
	}
	only := f.target
	only.Name, only.Address, only.User = "only", "only", "somebody" // a connection of its own
	if err := f.pool.Host(only).Connect(t.Context()); fault.KindOf(err) != fault.Auth {
		t.Errorf("IdentitiesOnly: %v", err)
	}
}
