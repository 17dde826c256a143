package disk

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A filesystem on a disk of its own is found once, whatever else is mounted
// from it; the disk of / and memory never are.
func TestFound(t *testing.T) {
	t.Parallel()
	at := mountLoop(t, "ext4", 64*mib)
	below := filepath.Join(at, "sub")
	if err := os.Mkdir(below, 0o700); err != nil {
		t.Fatal(err)
	}
	dirs, err := Found(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(dirs, at) {
		t.Errorf("%s is not among %v", at, dirs)
	}
	for _, d := range dirs {
		f, err := Inspect(t.Context(), d)
		if err == nil && (f.RootDisk || f.InMemory || f.MountPoint != d) { // another test's may be gone
			t.Errorf("found %+v", f)
		}
	}
	if slices.Contains(dirs, "/") || slices.Contains(dirs, "/dev/shm") {
		t.Errorf("found %v", dirs)
	}
}
