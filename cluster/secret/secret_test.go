package secret

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMadeSecretIsMadeOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sub", "x.pass")
	first, err := Made(file)
	if err != nil || len(first) < 32 {
		t.Fatalf("%q %v", first, err)
	}
	again, err := Made(file)
	if err != nil || again != first {
		t.Errorf("the second call gives another secret: %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v %v", info.Mode(), err)
	}
	if err := os.WriteFile(file, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Made(file); err == nil {
		t.Error("an empty secret is accepted")
	}
}
