// Package s3test gives tests a real S3 server: versitygw from cw's tools
// module, built once and started per test on a free port, with a proxy that
// puts faults between it and its client.
package s3test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Server is a running object store.
type Server struct {
	Endpoint       string // http://127.0.0.1:port
	Access, Secret string
	Dir            string // bucket/key files
}

// builds has one build per test process, keyed by module root.
var builds sync.Map

// Binary builds the s3server program if it is missing or older than its
// source, and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	root := moduleRoot(t)
	once, _ := builds.LoadOrStore(root, sync.OnceValues(func() (string, error) { return build(t.Context(), root) }))
	path, err := once.(func() (string, error))()
	if err != nil {
		t.Fatalf("build the S3 server for tests: %v", err)
	}
	return path
}

func moduleRoot(t testing.TB) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMOD").Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("no go command here to build the S3 server with")
	}
	mod := strings.TrimSpace(string(out))
	if err != nil || mod == "" {
		t.Fatalf("go env GOMOD: %q, %v", mod, err)
	}
	return filepath.Dir(mod)
}

func build(ctx context.Context, root string) (string, error) {
	tools := filepath.Join(root, "tools")
	bin := filepath.Join(tools, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil || syscall.Access(bin, 2) != nil {
		// Somebody else's checkout.
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = os.TempDir()
		}
		bin = filepath.Join(cache, "cw-tools")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			return "", err
		}
	}
	// Test processes of several packages come here at the same time.
	lock, err := os.OpenFile(filepath.Join(bin, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	path := filepath.Join(bin, "s3server")
	if fresh(path, tools) {
		return path, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-C", tools, "-o", path+".new", "./s3server")
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(err.Error() + ": " + string(out))
	}
	return path, os.Rename(path+".new", path) // running servers keep the old file
}

func fresh(path, tools string) bool {
	st, err := os.Stat(path)
	if err != nil {
		return false
	}
	for _, src := range []string{"go.mod", "go.sum", "s3server/main.go"} {
		if s, err := os.Stat(filepath.Join(tools, src)); err != nil || s.ModTime().After(st.ModTime()) {
			return false
		}
	}
	return true
}

// Start starts a server with the given buckets; it ends with the test.
func Start(t testing.TB, buckets ...string) *Server {
	t.Helper()
	s := &Server{Access: "cwtest", Secret: "cwtestsecret", Dir: t.TempDir()}
	for _, b := range buckets {
		if err := os.MkdirAll(filepath.Join(s.Dir, b), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, Binary(t), "-dir", s.Dir, "-access", s.Access, "-secret", s.Secret, "-parent")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe() // held open: the server ends when this process does
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		cancel()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		cancel()
		_ = cmd.Wait()
		t.Fatalf("S3 server said %q, %v: %s", line, err, stderr.String())
	}
	s.Endpoint = addr
	return s
}

// Credentials are the server's root keys.
func (s *Server) Credentials() aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(s.Access, s.Secret, "")
}

// Put stores an object.
func (s *Server) Put(t testing.TB, bucket, key string, data []byte) {
	t.Helper()
	c := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.Endpoint), UsePathStyle: true, Credentials: s.Credentials()})
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(data)})
	if err != nil {
		t.Fatalf("put s3://%s/%s: %v", bucket, key, err)
	}
}

// Get reads an object.
func (s *Server) Get(t testing.TB, bucket, key string) []byte {
	t.Helper()
	c := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.Endpoint), UsePathStyle: true, Credentials: s.Credentials()})
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatalf("get s3://%s/%s: %v", bucket, key, err)
	}
	defer func() { _ = out.Body.Close() }()
	data, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
