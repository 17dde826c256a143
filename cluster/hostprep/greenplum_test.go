package hostprep

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"cw/cluster"
)

func TestChooseHome(t *testing.T) {
	t.Parallel()
	const six = "postgres (Greenplum Database) 6.24.3 build commit:25d3\nCatalog version number:               301908232\n"
	tests := []struct {
		name, out, want, err string
	}{
		{"one", "home /usr/local/greenplum-db\n" + six, "6.24.3 in /usr/local/greenplum-db", ""},
		{"other major first", "home /usr/local/greenplum-db-7\npostgres (Greenplum Database) 7.1.0 build x\nCatalog version number: 3\nhome /usr/local/greenplum-db-6\n" + six, "6.24.3 in /usr/local/greenplum-db-6", ""},
		{"only another major", "home /a\npostgres (Greenplum Database) 7.1.0 build x\nCatalog version number: 3\n", "", "(found: 7.1.0 in /a)"},
		{"cloudberry is not greenplum", "home /b\npostgres (Apache Cloudberry) 2.0.0-incubating build 1\nCatalog version number: 3\nhome /a\n" + six, "6.24.3 in /a", ""},
		{"does not run", "home /a\n/a/bin/postgres: error while loading shared libraries: libxerces.so: no such file\n", "", "/a, which does not run: /a/bin/postgres: error while loading"},
		{"none", "", "", "(found: none)"},
	}
	for _, tt := range tests {
		h, err := chooseHome("h1", cluster.Engine{Kind: cluster.Greenplum, Via: cluster.ViaNative}, parseHomes(trimLines(tt.out)))
		if tt.err == "" && (err != nil || h.String() != tt.want) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: %v, %v", tt.name, h, err)
		}
		if missing := (*MissingGreenplumError)(nil); err != nil && !errors.As(err, &missing) {
			t.Errorf("%s: error is %T", tt.name, err)
		}
	}
	h := parseHomes(trimLines("home /a\n" + six))[0]
	if h.Build != "build commit:25d3" || h.build() != "6.24.3 build commit:25d3, catalogue 301908232" {
		t.Errorf("%+v: %s", h, h.build())
	}
}

func TestChooseHomeByUtilities(t *testing.T) {
	t.Parallel()
	out := trimLines(`home /usr/local/greenplum-db-7
postgres (Greenplum Database) 7.1.0 build x
Catalog version number: 302307241
home /usr/local/cbdb
postgres (Cloudberry Database) 1.5.4 build dev
Catalog version number: 302206171
home /usr/local/cloudberry
postgres (Apache Cloudberry) 2.0.0-incubating build 1
Catalog version number: 302502091`)
	for _, tt := range []struct {
		want cluster.Engine
		dir  string
	}{
		{cluster.Engine{Kind: cluster.Greenplum, Via: cluster.ViaUtilities}, "/usr/local/greenplum-db-7"},
		{cluster.Engine{Kind: cluster.Greenplum, Via: cluster.ViaNative}, ""},
		{cluster.Engine{Kind: cluster.Cloudberry, Via: cluster.ViaUtilities}, "/usr/local/cbdb"},
		{cluster.Engine{Kind: cluster.Cloudberry, Version: "2", Via: cluster.ViaUtilities}, "/usr/local/cloudberry"},
	} {
		h, err := chooseHome("h1", tt.want, parseHomes(out))
		if h.Dir != tt.dir || (err == nil) != (tt.dir != "") {
			t.Errorf("%+v: %+v, %v", tt.want, h, err)
		}
	}
}

func TestHomeScriptOnTheRealEngine(t *testing.T) {
	t.Parallel()
	home := os.Getenv("CW_TEST_GPHOME")
	if home == "" {
		t.Skip("CW_TEST_GPHOME is not set")
	}
	out, err := exec.Command("/bin/sh", "-c", homeScript, "cw", home).CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	h, err := chooseHome("here", cluster.Engine{Kind: cluster.Greenplum}, parseHomes(trimLines(string(out))))
	if err != nil || h.Dir != home || !strings.HasPrefix(h.Version, "6.") || h.Catalog == "" {
		t.Errorf("%+v %v", h, err)
	}
}

func TestHomeScriptSaysWhyAnEngineDoesNotRun(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "a folder", "gp")
	if err := os.MkdirAll(filepath.Join(home, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"postgres", "initdb"} {
		if err := os.WriteFile(filepath.Join(home, "bin", name), []byte("#!/bin/sh\necho no such library >&2\nexit 127\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("/bin/sh", "-c", homeScript, "cw", home).CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	want := []Home{{Dir: home, Build: "no such library"}}
	if got := parseHomes(trimLines(string(out))); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestAllRanges(t *testing.T) {
	t.Parallel()
	var nics []netip.Addr
	for _, a := range []string{"127.0.0.1", "10.0.0.5", "10.1.0.5", "fd00::5", "fe80::1%eth0", "10.9.9.9"} {
		nics = append(nics, netip.MustParseAddr(a))
	}
	got := allRanges(cluster.Host{Address: "203.0.113.9", Interconnect: []string{"10.1.0.5"}}, nics)
	want := "[203.0.113.9/32 10.1.0.5/32 10.0.0.5/32 fd00::5/128 10.9.9.9/32]"
	if fmt.Sprint(got) != want {
		t.Errorf("ranges = %v, want %s", got, want)
	}
	named := allRanges(cluster.Host{Address: "sdw1"}, nics)
	if len(named) != 4 {
		t.Errorf("of a host with a name: %v", named)
	}
}
