package cluster

import (
	"fmt"
	"strings"
	"testing"
)

// Every sample parses, and lays out what was asked for.
func TestSamples(t *testing.T) {
	t.Parallel()
	hosts := func(n int) []string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("10.9.0.%d", i+1))
		}
		return out
	}
	for _, c := range []struct {
		o    SampleOptions
		want string // role@host of every node
	}{
		{SampleOptions{}, "primary@db1 standby@db2 standby@db3"},
		{SampleOptions{Name: "x", Hosts: hosts(1)}, "primary@db1"},
		{SampleOptions{Kind: Greenplum, Hosts: hosts(1), Segments: 2}, "coordinator@cdw primary@cdw primary@cdw"},
		{SampleOptions{Kind: Greenplum, Hosts: hosts(2), Segments: 1}, "coordinator@cdw primary@sdw1"},
		{SampleOptions{Kind: Greenplum, Hosts: hosts(2), Segments: 1, Standby: true}, "coordinator@cdw primary@cdw primary@scdw mirror@scdw mirror@cdw standby@scdw"},
		{SampleOptions{Kind: Greenplum, Hosts: hosts(3), Segments: 1}, "coordinator@cdw primary@sdw1 primary@sdw2 mirror@sdw2 mirror@sdw1"},
		{SampleOptions{Kind: Greenplum, Hosts: hosts(4), Segments: 1, Standby: true}, "coordinator@cdw primary@sdw1 primary@sdw2 mirror@sdw2 mirror@sdw1 standby@scdw"},
		{SampleOptions{Kind: Greenplum, Segments: 1}, "coordinator@cdw primary@sdw1 primary@sdw2 primary@sdw3 primary@sdw4 mirror@sdw2 mirror@sdw3 mirror@sdw4 mirror@sdw1"},
		{SampleOptions{Kind: Greenplum, Segments: 1, Standby: true}, "coordinator@cdw primary@sdw1 primary@sdw2 primary@sdw3 primary@sdw4 mirror@sdw2 mirror@sdw3 mirror@sdw4 mirror@sdw1 standby@scdw"},
	} {
		text := SampleFor(c.o)
		top, err := Parse("c.yaml", []byte(text))
		if err != nil {
			t.Errorf("%+v: %v\n%s", c.o, err, text)
			continue
		}
		lay, err := Expand(top, nil)
		if err != nil {
			t.Errorf("%+v: %v", c.o, err)
			continue
		}
		var nodes []string
		for _, n := range lay.Nodes {
			nodes = append(nodes, n.Role+"@"+n.Host)
		}
		if got := strings.Join(nodes, " "); got != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.o, got, c.want)
		}
		if name := c.o.Name; name != "" && top.Name != name {
			t.Errorf("name %q", top.Name)
		}
		if n := strings.Count(text, "#"); n < 20 {
			t.Errorf("%+v has only %d comments", c.o, n)
		}
	}
}
