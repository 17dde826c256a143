package remote

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"cw/fault"
	"cw/remote/sshtest"
)

func newKey(t *testing.T) ssh.Signer {
	t.Helper()
	k, err := sshtest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newECKey(t *testing.T) ssh.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func TestAcceptNewRecordsOnceAndRefusesAChange(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	if err := f.host().Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	record := f.pool.o.KnownHosts
	want := fmt.Sprintf("[%s]:%d ", f.server.Addr(), f.server.Port())
	if got := lines(t, record); len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Fatalf("known hosts: %q", got)
	}
	f.server.DropConnections()
	f.server.SetHostKeys(newKey(t))
	err := f.host().Connect(t.Context())
	for err == nil { // the old connection may not have been found dead yet
		err = f.host().Connect(t.Context())
	}
	var changed *HostKeyError
	if !errors.As(err, &changed) || changed.Line != 1 || changed.File != record || fault.KindOf(err) != fault.Auth {
		t.Fatalf("got %v", err)
	}
	if hint := fault.HintOf(err); !strings.Contains(hint, "ssh-keygen -R '"+strings.TrimSpace(want)+"' -f "+record) {
		t.Errorf("hint %s", hint)
	}
	if !strings.Contains(err.Error(), record+":1") {
		t.Errorf("error %v", err)
	}
}

func TestHostThatLostItsKeyType(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	line := knownhosts.Line([]string{fmt.Sprintf("%s:%d", f.server.Addr(), f.server.Port())}, newECKey(t).PublicKey())
	if err := os.WriteFile(f.pool.o.KnownHosts, []byte("# comment\n"+line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := f.host().Connect(t.Context())
	var changed *HostKeyError
	if !errors.As(err, &changed) || changed.Line != 2 || !strings.Contains(fault.HintOf(err), "ssh-keygen -R") {
		t.Fatalf("got %v", err)
	}
}

func TestKnownHostsLines(t *testing.T) {
	t.Parallel()
	ed, ec := newKey(t), newECKey(t)
	for _, tc := range []struct {
		name   string
		server []ssh.Signer
		file   func(addr string) string
		policy string
		want   func(error) bool
	}{
		{"strict and unknown", []ssh.Signer{ed}, func(string) string { return "" }, HostKeyStrict, func(err error) bool {
			var e *HostKeyError
			return errors.As(err, &e) && e.Line == 0 && strings.Contains(fault.HintOf(err), "ssh-keyscan -p ") && strings.Contains(err.Error(), "SHA256:")
		}},
		{"strict and known", []ssh.Signer{ed}, func(a string) string { return knownhosts.Line([]string{a}, ed.PublicKey()) }, HostKeyStrict, isNil},
		{"hashed", []ssh.Signer{ed}, func(a string) string {
			return xknownhosts.HashHostname(xknownhosts.Normalize(a)) + " " + keyText(ed)
		}, HostKeyStrict, isNil},
		{"one of two types known", []ssh.Signer{ed, ec}, func(a string) string { return knownhosts.Line([]string{a}, ec.PublicKey()) }, HostKeyStrict, isNil},
		{"two types known", []ssh.Signer{ec}, func(a string) string {
			return knownhosts.Line([]string{a}, ed.PublicKey()) + "\n" + knownhosts.Line([]string{a}, ec.PublicKey())
		}, HostKeyStrict, isNil},
		{"revoked", []ssh.Signer{ed}, func(a string) string {
			return "@revoked " + knownhosts.Line([]string{a}, ed.PublicKey()) + "\n" + knownhosts.Line([]string{a}, ed.PublicKey())
		}, HostKeyAcceptNew, func(err error) bool {
			var e *HostKeyError
			return errors.As(err, &e) && e.Revoked && e.Line == 1
		}},
		{"other port is another host", []ssh.Signer{ed}, func(string) string { return "127.0.0.1 " + keyText(ec) }, HostKeyAcceptNew, isNil},
		{"no newline at the end", []ssh.Signer{ed}, func(string) string { return "other.example " + keyText(ec) }, HostKeyAcceptNew, isNil},
		{"not a known_hosts file", []ssh.Signer{ed}, func(string) string { return "host ssh-ed25519 nonsense" }, HostKeyAcceptNew, func(err error) bool {
			return err != nil && strings.Contains(err.Error(), "known")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, sshtest.Options{HostKeys: tc.server}, Options{})
			addr := fmt.Sprintf("%s:%d", f.server.Addr(), f.server.Port())
			if text := tc.file(addr); text != "" {
				if err := os.WriteFile(f.pool.o.KnownHosts, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			f.target.HostKey = tc.policy
			if err := f.host().Connect(t.Context()); !tc.want(err) {
				t.Errorf("got %v, hint %s", err, fault.HintOf(err))
			}
		})
	}
}

func isNil(err error) bool { return err == nil }

func keyText(s ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey())))
}

// Several pools stand for several processes that meet new hosts at once.
func TestConcurrentFirstContacts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	servers := []*sshtest.Server{f.server}
	for range 3 {
		servers = append(servers, listen(t, sshtest.Options{AuthorizedKeys: []ssh.PublicKey{f.pub}}))
	}
	var wg sync.WaitGroup
	for range 6 {
		pool := NewPool(f.pool.o)
		t.Cleanup(pool.Close)
		wg.Go(func() {
			var hosts []*Host
			for i, s := range servers {
				target := f.targetOf(s)
				target.Name = fmt.Sprint("db", i)
				hosts = append(hosts, pool.Host(target))
			}
			if _, err := Each(t.Context(), hosts, 0, func(ctx context.Context, h *Host) (any, error) { return nil, h.Connect(ctx) }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, l := range lines(t, f.pool.o.KnownHosts) {
		if seen[l] {
			t.Errorf("twice: %s", l)
		}
		seen[l] = true
	}
	if len(seen) != len(servers) {
		t.Errorf("%d lines for %d hosts", len(seen), len(servers))
	}
}

func TestOtherKnownHostsFilesAreOnlyRead(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine")
	f := newFixture(t, sshtest.Options{HostKeys: []ssh.Signer{key}}, Options{UserKnownHosts: []string{mine, filepath.Join(dir, "missing")}})
	line := knownhosts.Line([]string{fmt.Sprintf("%s:%d", f.server.Addr(), f.server.Port())}, key.PublicKey()) + "\n"
	if err := os.WriteFile(mine, []byte(line), 0o400); err != nil {
		t.Fatal(err)
	}
	f.target.HostKey = HostKeyStrict
	if err := f.host().Connect(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(f.pool.o.KnownHosts); err == nil {
		t.Error("a host that is known elsewhere was recorded again")
	}
}
