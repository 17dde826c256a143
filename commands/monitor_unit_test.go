package commands

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var updateUnit = flag.Bool("update-unit", false, "write the unit of the packages")

// The packages bring the unit that cw prints, and systemd takes it.
func TestPackagedUnit(t *testing.T) {
	t.Parallel()
	file := filepath.Join("..", "packaging", "cw-monitor@.service")
	if *updateUnit {
		if err := os.WriteFile(file, []byte(packagedUnit()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != packagedUnit() {
		t.Errorf("%s is not the unit of cw; write it: go test ./commands -run TestPackagedUnit -args -update-unit", file)
	}
	program, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not here: the unit is not verified")
	}
	// Verified with a user and a program that are there.
	unit := filepath.Join(t.TempDir(), "cw-monitor@root.service")
	text := strings.ReplaceAll(packagedUnit(), "/usr/bin/cw ", "/bin/true ")
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), program, "verify", "--man=no", unit).CombinedOutput(); err != nil || strings.Contains(string(out), "cw-monitor@") {
		t.Errorf("%v: %s", err, out)
	}
}
