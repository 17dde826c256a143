package hostprep

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fakeApt notes its arguments and whether a main cluster would be made.
const fakeApt = `#!/bin/sh
echo "$*" >>"$LOG"
case $* in *postgresql-15*) cat "$ETC/createcluster.conf" "$ETC"/createcluster.d/*.conf | grep -h ^create_main >>"$LOG";; esac
[ -n "$FAIL_ON" ] || exit 0
case $* in *"$FAIL_ON"*) exit 100;; esac
`

// The script is run on this machine, but with another apt-get and another
// folder of settings: it must not install anything here.
func TestInstallKeepsDebianFromMakingACluster(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, conf, failOn string
		fails              bool
	}{
		{"with include_dir", "include_dir '/etc/postgresql-common/createcluster.d'\n", "", false},
		{"without include_dir", "create_main_cluster = true\n", "", false},
		{"apt fails", "create_main_cluster = true\n", "postgresql-15", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			etc, bin, log := filepath.Join(dir, "etc"), filepath.Join(dir, "bin"), filepath.Join(dir, "log")
			for _, d := range []string{etc, bin} {
				if err := os.Mkdir(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			conf := filepath.Join(etc, "createcluster.conf")
			if err := os.WriteFile(conf, []byte(tt.conf), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(bin, "apt-get"), []byte(fakeApt), 0o755); err != nil {
				t.Fatal(err)
			}
			c := exec.Command("/bin/sh", "-c", installScript, "cw", "15", etc)
			c.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "LOG=" + log, "ETC=" + etc, "FAIL_ON=" + tt.failOn}
			out, err := c.CombinedOutput()
			if (err != nil) != tt.fails {
				t.Fatalf("%v: %s", err, out)
			}
			got, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			text := string(got)
			if !strings.Contains(text, "create_main_cluster = false") || strings.Contains(text, "= true") {
				t.Errorf("a main cluster would be made:\n%s", text)
			}
			for _, line := range strings.Split(text, "\n") {
				if strings.HasPrefix(line, "install") && !strings.Contains(line, "--no-upgrade") {
					t.Errorf("would upgrade what is installed: %s", line)
				}
			}
			after, err := os.ReadFile(conf)
			if err != nil || string(after) != tt.conf {
				t.Errorf("createcluster.conf is not as it was: %q %v", after, err)
			}
			if left, _ := filepath.Glob(filepath.Join(etc, "*")); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
