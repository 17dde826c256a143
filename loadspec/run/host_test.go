package run

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"cw/loadspec/source"
	"cw/playground/cwtest"
	"cw/playground/gptest"
	"cw/playground/s3test"
	"cw/remote"
	"cw/remote/sshtest"
)

// loadMachines are hosts reached over SSH, all of them this machine, whose
// temporary folders are looked at in the end.
type loadMachines struct {
	t       *testing.T
	pool    *remote.Pool
	names   []string
	servers []*sshtest.Server
	tmp     []string
	binary  string
}

func newLoadMachines(t *testing.T, n int) *loadMachines {
	t.Helper()
	dir := t.TempDir()
	m := &loadMachines{t: t, binary: filepath.Join(dir, "cw")}
	cwtest.At(t, m.binary)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	identity := filepath.Join(dir, "key")
	if err := os.WriteFile(identity, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var config bytes.Buffer
	for i := range n {
		tmp := t.TempDir()
		s, err := sshtest.Listen(sshtest.Options{AuthorizedKeys: []ssh.PublicKey{signer.PublicKey()}, Home: tmp, Env: []string{"TMPDIR=" + tmp}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		name := fmt.Sprintf("etl%d", i+1)
		fmt.Fprintf(&config, "Host %s\n  HostName 127.0.0.1\n  Port %d\n  IdentityFile %s\n", name, s.Port(), identity)
		m.names, m.servers, m.tmp = append(m.names, name), append(m.servers, s), append(m.tmp, tmp)
	}
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, config.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	m.pool = remote.NewPool(remote.Options{KnownHosts: filepath.Join(dir, "known_hosts"), ConfigFile: file, KeepAlive: 300 * time.Millisecond})
	t.Cleanup(m.pool.Close)
	return m
}

// gone waits until the agents and their folders are gone.
func (m *loadMachines) gone() {
	m.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var left []string
		for _, tmp := range m.tmp {
			found, _ := filepath.Glob(filepath.Join(tmp, "*"))
			left = append(left, found...)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("left behind: %v", left)
		}
	}
}

func TestLoadMachines(t *testing.T) {
	t.Parallel()
	gp := gptest.Start(t, 3)
	m := newLoadMachines(t, 2)
	srv := s3test.Start(t, "bucket")
	e := newGPEnv(t, gp)
	var all []byte
	for i := range 6 {
		part := csvRows(i*10_000, 10_000)
		all = append(all, part...)
		if i%2 == 0 {
			part = gz(part)
		}
		srv.Put(t, "bucket", fmt.Sprintf("in/%d.csv%s", i, []string{".gz", ""}[i%2]), part)
	}
	body := strings.Replace(simple("X", "csv", "items"), "{FILE: ['X']}", "{URL: ['s3://bucket/in/*'], ENDPOINT: '"+srv.Endpoint+"'}", 1)
	spec := e.spec(body + "  PARALLEL: {HOSTS: [etl1, etl2], COMMIT: 500kB, SPLIT: 64KiB}\n")
	o := e.options(spec)
	o.Source, o.Hosts, o.Binary = source.Options{Credentials: srv.Credentials()}, m.pool, m.binary

	t.Run("files of this machine", func(t *testing.T) {
		file := o
		file.Job = "f"
		file.Spec = e.spec(simple(e.file("x.csv", all), "csv", "items") + "  PARALLEL: {HOSTS: [etl1]}\n")
		if _, err := Run(t.Context(), file); err == nil || !strings.Contains(err.Error(), "x.csv is a file of this machine") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a load machine dies", func(t *testing.T) {
		w := &watch{}
		var once sync.Once
		w.on = func(p Progress) {
			if p.Phase == PhaseLoad && p.Bytes > 0 {
				once.Do(m.servers[1].DropConnections)
			}
		}
		slow := o
		limited := *spec
		limited.Limit = 300_000
		slow.Spec, slow.Reporter = &limited, w
		if _, err := Run(t.Context(), slow); err == nil || !strings.Contains(err.Error(), "etl2") {
			t.Fatalf("the load machine that died is not named: %v", err)
		}
		m.gone()
	})
	t.Run("interrupted anywhere", func(t *testing.T) {
		runs := 0
		for ; runs < 60; runs++ {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(500+mathrand.IntN(500+300*runs))*time.Millisecond)
			_, err := Run(ctx, o)
			over := ctx.Err() != nil
			cancel()
			if err == nil {
				break
			}
			if !over {
				t.Fatalf("run %d: %v", runs, err)
			}
		}
		e.same(all)
		m.gone()
	})
}

func TestDeal(t *testing.T) {
	t.Parallel()
	var objects []object
	for _, size := range []int64{5, 100, 40, 60, 0} {
		objects = append(objects, object{Object: source.Object{Size: size}})
	}
	shares := deal(objects, 2)
	var sums []int64
	n := 0
	for _, s := range shares {
		var sum int64
		for _, o := range s {
			sum += o.Size
		}
		sums, n = append(sums, sum), n+len(s)
	}
	if n != 5 || sums[0] < 100 || sums[0] > 105 || len(deal(objects[:1], 3)) != 1 || len(deal(nil, 3)) != 1 {
		t.Errorf("%v of %d objects", sums, n)
	}
}
