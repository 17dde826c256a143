package remote

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"cw/remote/sshtest"
)

// BenchmarkRun measures what a command costs, beside the same without the
// wrapper.
func BenchmarkRun(b *testing.B) {
	h := benchHost(b)
	b.Run("command", func(b *testing.B) {
		for b.Loop() {
			if _, err := h.Run(b.Context(), Cmd{Args: []string{"true"}}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("with input", func(b *testing.B) {
		for b.Loop() {
			if _, err := h.Run(b.Context(), Cmd{Args: []string{"cat"}, Stdin: strings.NewReader("x")}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare ssh", func(b *testing.B) {
		c, err := h.conn(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			s, err := c.client.NewSession()
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Run("true"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("64 MiB in", func(b *testing.B) {
		data := make([]byte, 64<<20)
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := h.Run(b.Context(), Cmd{Args: []string{"cat"}, Stdin: bytes.NewReader(data), Stdout: writerFunc(func(p []byte) (int, error) { return len(p), nil })}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("64 MiB pushed", func(b *testing.B) {
		src := filepath.Join(b.TempDir(), "src")
		if err := os.WriteFile(src, make([]byte, 64<<20), 0o600); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(64 << 20)
		for b.Loop() {
			if err := h.Push(b.Context(), src, src+".there", FileOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchHost(b *testing.B) *Host {
	b.Helper()
	dir := b.TempDir()
	pub := newKeyFile(b, filepath.Join(dir, "key"), "")
	s, err := sshtest.Listen(sshtest.Options{AuthorizedKeys: []ssh.PublicKey{pub}, Home: dir})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	pool := NewPool(Options{KnownHosts: filepath.Join(dir, "known_hosts")})
	b.Cleanup(pool.Close)
	return pool.Host(Target{Name: "db1", Address: s.Addr(), Port: s.Port(), User: "deploy", IdentityFile: filepath.Join(dir, "key")})
}
