package net

import (
	"os"
	"os/exec"
	"testing"
)

// TestEthtool: a virtual cable's driver counts, too.
func TestEthtool(t *testing.T) {
	t.Parallel()
	if os.Getenv("CW_LAB_INSIDE") == "" {
		t.Skip("not in a network of the tests' own")
	}
	if out, err := exec.Command("ip", "link", "add", "cwstat0", "type", "veth", "peer", "name", "cwstat1").CombinedOutput(); err != nil {
		t.Skipf("no virtual cable: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "cwstat0").Run() })
	stats, err := ethtoolStats("cwstat0")
	if err != nil || stats["peer_ifindex"] == 0 {
		t.Errorf("%v %v", stats, err)
	}
	if _, err := ethtoolStats("nothere0"); err == nil {
		t.Error("an interface that is not there has counters")
	}
	nics, err := Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, n := range nics {
		found = found || n.Name == "cwstat0" && n.MTU == 1500 && n.MAC != ""
	}
	if !found {
		t.Errorf("%+v", nics)
	}
}
