// Package cwtest builds the program for tests that run it as people do.
package cwtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Build builds cw at a path: without cgo, as it is released, whatever the test
// itself is built with, so that one build of its parts serves all tests.
func Build(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "cw/cmd/cw")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build cw: %w\n%s", err, out)
	}
	return nil
}

// At is Build for one test.
func At(t testing.TB, path string) {
	t.Helper()
	if err := Build(t.Context(), path); err != nil {
		t.Fatal(err)
	}
}

// Shared is a function that builds cw when it is first called, for all tests
// of a package: in a folder of its own, into which every user may look, since
// the playground's hosts run as another one. TestMain removes the folder.
func Shared() func() (path string, err error) {
	return sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp("", "cwbin")
		if err != nil {
			return "", err
		}
		if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // there is a program in it, no secret
			return "", err
		}
		path := filepath.Join(dir, "cw")
		return path, Build(context.Background(), path) // outlives the test that is the first to want it
	})
}
