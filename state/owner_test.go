package state_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"cw/state"
)

// A process that was killed is gone, also while nobody has asked how it ended.
func TestGone(t *testing.T) {
	t.Parallel()
	if state.Gone(os.Getpid()) {
		t.Error("the test itself counts as gone")
	}
	cmd := exec.CommandContext(t.Context(), "sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if state.Gone(cmd.Process.Pid) {
		t.Error("a process that runs counts as gone")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := time.After(10 * time.Second); !state.Gone(cmd.Process.Pid); {
		select {
		case <-late:
			t.Fatal("a killed process does not count as gone before it is waited for")
		case <-tick.C:
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the killed process ended well")
	}
}
