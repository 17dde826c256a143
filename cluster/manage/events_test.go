package manage

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cw/cluster"
	"cw/state"
)

// What is done to a cluster, and what goes wrong with it, is in the events.
func TestEventsOfACluster(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	taken, err := net.Listen("tcp", fmt.Sprintf("%s:%d", l.top.Hosts[0].Address, l.top.Database.Port))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.m.Create(t.Context(), l.top); err == nil {
		t.Error("created on a port that is taken")
	}
	_ = taken.Close()
	l.create()
	l.run(l.m.Stop(t.Context(), "lab", cluster.Fast))
	if taken, err = net.Listen("tcp", fmt.Sprintf("%s:%d", l.top.Hosts[0].Address, l.top.Database.Port)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.must(l.m.Start(t.Context(), "lab")).Run(t.Context(), nil); err == nil {
		t.Error("started on a port that is taken")
	}
	_ = taken.Close()
	l.run(l.m.Resume(t.Context(), "lab"))
	other, err := state.Open(t.Context(), filepath.Join(l.dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, lease, err := other.Acquire(t.Context(), leaseName("lab"), "backup")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.m.Unlock(t.Context(), "lab"); err != nil {
		t.Fatal(err)
	}
	if err := l.m.Unlock(t.Context(), "lab"); err != nil { // nothing is locked: nothing has happened
		t.Fatal(err)
	}
	_ = lease.Release(t.Context())
	_ = other.Close()
	l.run(l.m.Delete(t.Context(), "lab"))

	events, err := l.m.Store.Events(t.Context(), state.EventFilter{Cluster: "lab"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, e.Kind+"/"+e.Severity)
		if e.Data["by"] != l.m.Store.Who() {
			t.Errorf("%s: nobody did it: %+v", e.Kind, e.Data)
		}
	}
	want := []string{
		"check-failed/warning", "registered/info", "created/info", "stopped/info", "fault/critical", "started/info", "action/warning", "deleted/info",
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
	if e := events[0]; e.Host != "h1" || !strings.Contains(e.Message, "port") {
		t.Errorf("%+v", e)
	}
	if e := events[1]; !strings.Contains(e.Message, "1 nodes on 1 hosts") {
		t.Errorf("%+v", e)
	}
	if e := events[3]; e.Data["state"] != state.ClusterStopped || e.Data["state_before"] != state.ClusterUp {
		t.Errorf("%+v", e)
	}
	if e := events[4]; !strings.Contains(e.Message, "start of cluster lab did not finish") {
		t.Errorf("%+v", e)
	}
	if e := events[6]; !strings.Contains(e.Message, "(backup)") {
		t.Errorf("%+v", e)
	}
}
