package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cw/monitor"
	"cw/state"
)

// monitorLab is a folder with a store and monitors on it.
type monitorLab struct {
	t    *testing.T
	home string
}

// running is a monitor at work, a process of its own: a lease belongs to one.
type running struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu   sync.Mutex
	said bytes.Buffer
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.Write(p)
}

func (r *running) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.String()
}

func (l *monitorLab) env(name string) string { return map[string]string{"HOME": l.home}[name] }

// cw runs a command to its end.
func (l *monitorLab) cw(args ...string) (code int, out string) {
	l.t.Helper()
	streams, stdout, stderr := TestStreams("")
	code = mainWith(l.t.Context(), streams, l.env, append([]string{"cw"}, args...))
	return code, stdout.String() + stderr.String()
}

// start runs a monitor until it is stopped, or the test ends.
func (l *monitorLab) start(args ...string) *running {
	l.t.Helper()
	r := &running{cmd: exec.Command("cw", append([]string{"monitor"}, args...)...), done: make(chan struct{})}
	r.cmd.Env = append(os.Environ(), "HOME="+l.home, "XDG_STATE_HOME=", "XDG_CONFIG_HOME=", "CW_STORE=")
	r.cmd.Stderr = r
	if err := r.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait()
		close(r.done)
	}()
	l.t.Cleanup(func() { r.stop(syscall.SIGKILL) })
	return r
}

// stop ends it by a signal and returns its exit code.
func (r *running) stop(s syscall.Signal) int {
	_ = r.cmd.Process.Signal(s)
	<-r.done
	return r.cmd.ProcessState.ExitCode()
}

// until waits for something that has to become so.
func (l *monitorLab) until(what string, is func() bool) {
	l.t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("it did not come to be within a minute: %s", what)
		}
	}
}

// One monitor acts and one stands by: an alert reaches the receiver once, the
// metrics and the status show it; when the first is
// killed, the other goes on and tells nothing again.
func TestMonitorAtWork(t *testing.T) {
	t.Parallel()
	l := &monitorLab{t: t, home: t.TempDir()}
	file := filepath.Join(l.home, "m.yaml")
	told := filepath.Join(l.home, "told")
	config := `
apiVersion: cw/v1
kind: Monitor
listen: 127.0.0.1:0
receivers: [{name: ops, exec: {command: 'echo "$CW_ALERT_REASON $CW_ALERT_TITLE" >> ` + told + `'}}]
routes: [{receivers: ops, group_wait: 0}]
`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	heard := func() string {
		data, _ := os.ReadFile(told)
		return string(data)
	}
	first := l.start("--file", file)
	l.until("it acts", func() bool { return strings.Contains(first.text(), "this monitor acts") })
	second := l.start("--file", file)
	l.until("both are listed", func() bool {
		_, out := l.cw("monitor", "status", "-o", "json")
		return strings.Contains(out, `"role": "leading"`) && strings.Contains(out, `"role": "standby"`)
	})
	st, err := state.Open(t.Context(), filepath.Join(l.home, ".local/state/cw/state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	// Of no cluster: no monitor knows whether that is well again.
	a, _, err := st.FireAlert(t.Context(), state.Alert{Mark: "m", Rule: "node.down", Severity: state.Critical, Message: "r1 with password=s3cret is down"})
	if err != nil {
		t.Fatal(err)
	}
	l.until("it is told", func() bool { return strings.Contains(heard(), "fired") })
	address := regexp.MustCompile(`http://\S+/`).FindString(first.text())
	page := func(path string) string {
		r, err := http.Get(address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Body.Close() }()
		text, _ := io.ReadAll(r.Body)
		return string(text)
	}
	defer func() {
		if t.Failed() {
			t.Logf("%s\n%s\n%s", first.text(), second.text(), heard())
		}
	}()
	l.until("the metrics show it", func() bool {
		text := page("metrics")
		return strings.Contains(text, `cw_alerts_firing{rule="node.down",severity="critical",cluster=""} 1`) && strings.Contains(text, `cw_notices_total{receiver="ops",result="sent"} 1`)
	})
	if text := page("healthz"); !strings.Contains(text, `"ok":true,"role":"leading"`) {
		t.Errorf("health %s", text)
	}
	code, out := l.cw("monitor", "status", "--exit-code", "-o", "json")
	var d monitorStatusDoc
	if err := json.Unmarshal([]byte(out), &d); err != nil || code != 8 || len(d.Alerts) != 1 || !d.acting() || strings.Contains(out, "s3cret") {
		t.Errorf("status %d: %v: %s", code, err, out)
	}
	if code, out := l.cw("monitor", "--once", "--exit-code"); code != 8 || !strings.Contains(out, "a monitor acts already") || !strings.Contains(out, a.ID) {
		t.Errorf("once %d: %s", code, out)
	}
	l.until("it is said", func() bool {
		return strings.Contains(first.text(), "fires: critical node.down: r1 with password=[redacted] is down")
	})
	killed := time.Now()
	first.stop(syscall.SIGKILL)
	l.until("the other one acts", func() bool { return strings.Contains(second.text(), "this monitor acts") })
	t.Logf("the other one acted %s after the kill", time.Since(killed).Round(10*time.Millisecond))
	if ok, err := st.ResolveAlert(t.Context(), a.ID, "well"); err != nil || !ok {
		t.Fatalf("%v, %v", ok, err)
	}
	l.until("its end is told", func() bool { return strings.Contains(heard(), "resolved") })
	if code := second.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d: %s", code, second.text())
	}
	want := "fired cw: critical: r1 with password=[redacted] is down\nresolved cw: resolved: r1 with password=[redacted] is down\n"
	if heard() != want {
		t.Errorf("told %q, want %q", heard(), want)
	}
	if strings.Contains(first.text()+second.text(), "s3cret") {
		t.Error("a secret was said")
	}
	if code, out := l.cw("monitor", "--once", "--once-for", "2s"); code != 0 || !strings.Contains(out, "nothing is wrong") {
		t.Errorf("once, alone: %d: %s", code, out)
	}
}

// An address that is taken is said at once.
func TestMonitorAddress(t *testing.T) {
	t.Parallel()
	l := &monitorLab{t: t, home: t.TempDir()}
	first := l.start("--listen", "127.0.0.1:0")
	l.until("it listens", func() bool { return strings.Contains(first.text(), "metrics on") })
	address := regexp.MustCompile(`http://(\S+)/`).FindStringSubmatch(first.text())[1]
	if code, out := l.cw("monitor", "--listen", address); code != 1 || !strings.Contains(out, "serve /metrics on "+address) || !strings.Contains(out, "hint: ") {
		t.Errorf("%d: %s", code, out)
	}
	if code := first.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d: %s", code, first.text())
	}
}

// The unit is one that systemd takes.
func TestMonitorUnit(t *testing.T) {
	t.Parallel()
	l := &monitorLab{t: t, home: filepath.Join(t.TempDir(), "with space %h $X")}
	code, out := l.cw("monitor", "--print-unit")
	if code != 0 || !strings.Contains(out, `with space %%h $$X`) {
		t.Fatalf("%d: %s", code, out)
	}
	program, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not here: the unit is not verified")
	}
	unit := filepath.Join(t.TempDir(), "cw-monitor.service")
	if err := os.WriteFile(unit, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.CommandContext(t.Context(), program, "verify", "--man=no", unit).CombinedOutput(); err != nil || strings.Contains(string(text), "cw-monitor.service:") {
		t.Errorf("%v: %s\n%s", err, text, out)
	}
}

// The runner closes the connections it looks through when a cluster changes,
// and asks for new ones.
func TestMonitorLooksThroughNewConnections(t *testing.T) {
	t.Parallel()
	streams, _, _ := TestStreams("")
	home := t.TempDir()
	a, err := newApp(streams, func(name string) string { return map[string]string{"HOME": home}[name] })
	if err != nil {
		t.Fatal(err)
	}
	o, _ := a.monitorRun(nil, monitor.Defaults())
	first, err1 := o.Pool("dw")
	second, err2 := o.Pool("dw")
	if err := errors.Join(err1, err2); err != nil || first == second {
		t.Errorf("the same pool twice: %v", err)
	}
	kept, err1 := o.Manager.Pool("dw")
	again, err2 := o.Manager.Pool("dw")
	if err := errors.Join(err1, err2); err != nil || kept != again {
		t.Errorf("the manager has more than one pool: %v", err)
	}
	for _, p := range a.pools {
		p.Close()
	}
}
