// Package cwtest builds the program for tests that run it as people do.
package cwtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
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
