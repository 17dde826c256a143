package commands

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"cw/perfcheck"
	"cw/remote/sshtest"
)

// A whole cw perf replace, as it is typed: the example of the exec driver is
// the cloud, an SSH server of this process is the machine.
func TestPerfReplaceAsTyped(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("XDG_CONFIG_HOME", "")
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	tmp, cloud := filepath.Join(home, "tmp"), filepath.Join(home, "cloud")
	t.Setenv("CW_CLOUD_DIR", cloud)
	s, err := sshtest.Listen(sshtest.Options{AuthorizedKeys: []ssh.PublicKey{signer.PublicKey()}, Home: tmp, Env: []string{"TMPDIR=" + tmp}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	example, err := filepath.Abs("../cloud/exec/example.sh")
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(home, "key")
	if err := errors.Join(os.MkdirAll(filepath.Join(cloud, "snap"), 0o700), os.Mkdir(tmp, 0o700), os.WriteFile(keyFile, pem.EncodeToMemory(block), 0o600),
		os.WriteFile(filepath.Join(cloud, "snap", "data"), make([]byte, 3<<20), 0o600),
		os.WriteFile(filepath.Join(cloud, "machines"), fmt.Appendf(nil, "m1 %s:%d\n", s.Addr(), s.Port()), 0o600)); err != nil {
		t.Fatal(err)
	}
	// The program that is brought to the machine is called cw, as a release is:
	// the test program is cw by that name.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cw := filepath.Join(home, "cw")
	if out, err := exec.CommandContext(t.Context(), "cp", self, cw).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	streams, out, errOut := TestStreams("")
	code := Main(context.WithoutCancel(t.Context()), streams, []string{
		"cw", "perf", "replace", "--driver", "exec", "--driver-option", "program=" + example, "--snapshot", "snap", "--ssh-user", "me", "--identity-file", keyFile,
		"--agent-binary", cw, "--mount", `test -f "$CW_DEVICE/data"`, "--up", "true", "--reps", "2", "--poll", "50ms", "--read-for", "200ms", "--yes", "-o", "json",
		"--require", "replace.database_up.since_fault<=600s",
	})
	if code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, errOut, out)
	}
	var r perfcheck.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"replace.first_command", "replace.attached", "replace.mounted", "replace.cold_reads", "replace.database_up", "replace.hydrated"} {
		i := -1
		for j := range r.Tests {
			if r.Tests[j].ID == id {
				i = j
			}
		}
		if i < 0 || r.Tests[i].Verdict != perfcheck.Pass || r.Tests[i].Metrics[r.Tests[i].Main].N != 2 {
			t.Errorf("%s: %+v", id, r.Tests)
		}
	}
	if !strings.Contains(errOut.String(), "2 of 2: replace.hydrated took") {
		t.Errorf("no word while it runs: %s", errOut)
	}
	left, _ := filepath.Glob(cloud + "/*-*")
	agents, _ := filepath.Glob(tmp + "/*")
	if len(left)+len(agents) > 0 {
		t.Errorf("left %v %v", left, agents)
	}
}
