package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// What another cw does is seen by one that follows; Ctrl-C ends it after a
// whole line.
func TestFollowEvents(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	topology := filepath.Join(u.home, "lost.yaml")
	writeFile(t, topology, "apiVersion: cw/v1\nkind: Cluster\nname: lost\nengine: {kind: postgres}\ndatabase: {name: wh, admin: boss}\n"+
		"ssh: {user: nobody}\nos_user: nobody\nlayout: {data_dirs: [/data1]}\nnetwork: {allow: [127.0.0.0/8]}\n"+
		"hosts:\n  - {name: db1, address: 127.0.0.1, ssh_port: 1, roles: [primary]}\n")
	cmd := u.command("events", "--follow", "-o", "json")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	if a := u.cw("cluster", "check", "-f", topology); a.code != 5 {
		t.Errorf("exit code %d: %s", a.code, a.errOut)
	}
	select {
	case line := <-lines:
		var e struct{ Type, Cluster, Host, Severity string }
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Type != "check-failed" || e.Cluster != "lost" || e.Host != "db1" || e.Severity != "warning" {
			t.Errorf("%s (%v)", line, err)
		}
	case <-time.After(30 * time.Second):
		t.Error("no event came")
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for line := range lines {
		t.Errorf("more came: %s", line)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || bytes.Contains(errOut.Bytes(), []byte("hint")) {
		t.Errorf("exit code %d: %s", code, errOut.String())
	}
}
