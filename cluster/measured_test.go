package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cw/fault"
)

const measuredDoc = `{"apiVersion":"cw/v1","kind":"MeasuredSizing","segments_per_host":3,"bound":"iops: 1000/s","mirrored":true,"machine":{"cpus":32,"memory":274877906944},"runs":["p1"],"limits":[]}`

func TestParseMeasured(t *testing.T) {
	t.Parallel()
	m, err := ParseMeasured([]byte(measuredDoc))
	if err != nil || m.SegmentsPerHost != 3 || m.Machine.CPUs != 32 || m.Machine.Memory != 256*gib || !m.Mirrored || m.Bound == "" {
		t.Fatalf("%+v, %v", m, err)
	}
	for name, text := range map[string]string{
		"nothing": "", "not JSON": "{", "a list": "[]", "another kind": strings.Replace(measuredDoc, "MeasuredSizing", "PerfReport", 1),
		"no segment": strings.Replace(measuredDoc, `"segments_per_host":3`, `"segments_per_host":0`, 1), "too many": strings.Replace(measuredDoc, `"segments_per_host":3`, `"segments_per_host":300`, 1),
		"no machine": strings.Replace(measuredDoc, `"cpus":32`, `"cpus":0`, 1), "no memory": strings.Replace(measuredDoc, `274877906944`, `0`, 1),
	} {
		if _, err := ParseMeasured([]byte(text)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzParseMeasured(f *testing.F) {
	f.Add([]byte(measuredDoc))
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := ParseMeasured(data); err == nil && (m.SegmentsPerHost < 1 || m.Machine.CPUs < 1) {
			t.Errorf("%+v", m)
		}
	})
}

func TestTopologyWithMeasuredFigures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bare := strings.Replace(measuredDoc, `"mirrored":true`, `"mirrored":false`, 1)
	for name, text := range map[string]string{"size.json": measuredDoc, "bare.json": bare, "bad.json": "{}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parse := func(kind, layout string) (*Topology, error) {
		return Parse(filepath.Join(dir, "cluster.yaml"), []byte(`apiVersion: cw/v1
kind: Cluster
name: dw1
engine: {kind: `+kind+`}
layout: {`+layout+`}
hosts:
  - {name: cdw, address: 10.0.0.1, roles: [coordinator]}
`+map[bool]string{true: "", false: `  - {name: "sdw[1-2]", address: "10.0.0.[2-3]", roles: [segment]}` + "\n"}[kind == Postgres]))
	}
	for _, c := range []struct{ kind, layout, want string }{
		{Greenplum, "measured: size.json, mirrors: group", ""},
		{Greenplum, "measured: size.json", ""}, // without mirrors there is more room, not less
		{Greenplum, "segments_per_host: auto, measured: bare.json", ""},
		{Greenplum, "measured: bare.json, mirrors: group", "without mirrors"},
		{Greenplum, "measured: size.json, segments_per_host: 4", "bound auto only"},
		{Greenplum, "measured: none.json", "cw perf size"},
		{Greenplum, "measured: bad.json", "not what cw perf size"},
		{Postgres, "measured: size.json", "no segments"},
	} {
		top, err := parse(c.kind, c.layout)
		switch {
		case c.want == "" && (err != nil || top.Measured == nil || top.Measured.SegmentsPerHost != 3 || !filepath.IsAbs(top.Layout.Measured)):
			t.Errorf("%s: %v", c.layout, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "cluster.yaml:5:")):
			t.Errorf("%s: %v, want one with %q and its place", c.layout, err, c.want)
		}
	}
}

// Measured figures bound what auto gives; they do not raise it.
func TestMeasuredBoundsAuto(t *testing.T) {
	t.Parallel()
	m, err := ParseMeasured([]byte(measuredDoc))
	if err != nil {
		t.Fatal(err)
	}
	top := &Topology{Profile: "default", Layout: Rule{DataDirs: []string{"/data1"}}, Measured: m}
	h := Host{Name: "sdw1"}
	for _, c := range []struct {
		measured, dirs, want int
		why                  string
	}{{3, 1, 3, "iops"}, {3, 2, 2, "rounded from 3"}, {100, 1, 8, "at most 8"}, {8, 1, 8, "at most 8"}, {1, 2, 1, "iops"}} {
		m.SegmentsPerHost = c.measured
		top.Layout.DataDirs = make([]string, c.dirs)
		n, why, err := AutoSegmentsOf(top, h, Machine{CPUs: 32, Memory: 256 * gib})
		if err != nil || n != c.want || !strings.Contains(why, c.why) {
			t.Errorf("%+v: %d, %s, %v", c, n, why, err)
		}
	}
	for _, is := range []Machine{{CPUs: 16, Memory: 256 * gib}, {CPUs: 32, Memory: 128 * gib}, {CPUs: 32, Memory: 300 * gib}} {
		if _, _, err := AutoSegmentsOf(top, h, is); fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" || !strings.Contains(err.Error(), "sdw1") {
			t.Errorf("%+v: %v", is, err)
		}
	}
	if _, _, err := AutoSegmentsOf(top, h, Machine{CPUs: 32, Memory: 250 * gib}); err != nil {
		t.Errorf("what the firmware keeps is no other type: %v", err)
	}
	top.Measured = nil
	if n, _, err := AutoSegmentsOf(top, h, Machine{CPUs: 16, Memory: 300 * gib}); err != nil || n < 1 {
		t.Errorf("%d, %v", n, err)
	}
}
