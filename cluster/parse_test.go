package cluster

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"cw/fault"
)

const good = `apiVersion: cw/v1
kind: Cluster
name: dw1
engine: {kind: postgres, version: 15}
network: {allow: [10.0.0.0/8]}
hosts:
  - {name: db1, address: 10.0.0.10, roles: [primary]}
  - {name: "db[2-3]", address: "10.0.0.[11-12]", interconnect: ["10.1.0.[11-12]"], roles: replica}
`

func TestParseFillsInDefaultsAndExpandsRanges(t *testing.T) {
	t.Parallel()
	top, err := Parse("cluster.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	want := []Host{
		{Name: "db1", Address: "10.0.0.10", Roles: []string{"coordinator"}},
		{Name: "db2", Address: "10.0.0.11", Interconnect: []string{"10.1.0.11"}, Roles: []string{"standby"}},
		{Name: "db3", Address: "10.0.0.12", Interconnect: []string{"10.1.0.12"}, Roles: []string{"standby"}},
	}
	if !reflect.DeepEqual(top.Hosts, want) {
		t.Errorf("hosts = %+v", top.Hosts)
	}
	if top.Database.Port != 5432 || top.OSUser != "postgres" || top.TLS.Mode != TLSSelfSigned || top.Profile != "default" {
		t.Errorf("defaults are missing: %+v", top)
	}
}

func TestSampleParses(t *testing.T) {
	t.Parallel()
	top, err := Parse("cluster.yaml", []byte(Sample()))
	if err != nil {
		t.Fatal(err)
	}
	if len(top.Hosts) != 3 {
		t.Errorf("the sample has %d hosts, want 3", len(top.Hosts))
	}
}

func TestParseReportsEverythingAtItsPlace(t *testing.T) {
	t.Parallel()
	change := func(old, repl string) string { return strings.Replace(good, old, repl, 1) }
	tests := []struct {
		name, text string
		want       []string // each must be in one line of the error
	}{
		{"unknown key", change("network:", "netwok:"), []string{`cluster.yaml:5:1: unknown key "netwok": did you mean "network"?`}},
		{"bad name", change("name: dw1", "name: DW/1"), []string{`cluster.yaml:3:7: name: "DW/1" is not a cluster name`}},
		{"version", change("version: 15", "version: 9"), []string{`cluster.yaml:4:35: engine.version: "9" is not a supported major version`}},
		{"same name", change(`"db[2-3]"`, `"db[1-2]"`), []string{"cluster.yaml:8:12: hosts[1].name: host db1 is given twice, first as hosts[0]"}},
		{"same address", change(`"10.0.0.[11-12]"`, `"10.0.0.[10-11]"`), []string{"hosts[1].address: address 10.0.0.10 is given to db1 and to db2"}},
		{"range lengths", change(`"10.0.0.[11-12]"`, `"10.0.0.[11-13]"`), []string{`address "10.0.0.[11-13]" stands for 3, but name "db[2-3]" for 2 hosts`}},
		{"two primaries", change("roles: replica", "roles: primary"), []string{"db1, db2, db3 are all coordinators"}},
		{"no primary", change("[primary]", "[standby]"), []string{"no host has the role coordinator"}},
		{"clash", change("[primary]", "[primary, standby]"), []string{"cluster.yaml:7:44: hosts[0].roles: host db1 is coordinator and standby at once"}},
		{"segment", change("replica", "segment"), []string{"role segment needs engine greenplum"}},
		{"role typo", change("replica", "repliac"), []string{`did you mean "replica"?`}},
		{"host bits", change("10.0.0.0/8", "10.0.0.1/8"), []string{"write 10.0.0.0/8"}},
		{"world", change("10.0.0.0/8", "0.0.0.0/0"), []string{"whole world"}},
		{"root", good + "os_user: root\n", []string{"refuses to run as root"}},
		{"dir", good + "layout: {data_dirs: [relative, /a, /a/]}\n", []string{`"relative" must be an absolute path`, `"/a/" is given twice`}},
		{"long dir", good + "layout: {data_dirs: [/" + strings.Repeat("x", 80) + "]}\n", []string{"unix socket"}},
		{"tls", good + "tls: {mode: files}\n", []string{"mode files needs cert_file", "mode files needs key_file"}},
		{"port", good + "database: {port: 70000}\n", []string{"70000 is not a TCP port"}},
		{"admin", good + "database: {admin: pg_read}\n", []string{`"pg_read" cannot be the name of a role`}},
		{"profile", good + "profile: defalt\n", []string{"did you mean default?"}},
		{"two at once", change("version: 15", "verson: 15") + "os_user: root\n", []string{`unknown key "verson"`, "refuses to run as root"}},
		{"empty", "", []string{"the file is empty"}},
		{"no hosts", strings.Split(good, "hosts:")[0] + "hosts: []\n", []string{"the list is empty"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("cluster.yaml", []byte(tt.text))
			if err == nil {
				t.Fatal("no error")
			}
			if fault.KindOf(err) != fault.Usage {
				t.Errorf("kind is %v, want Usage", fault.KindOf(err))
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestGreenplumRules(t *testing.T) {
	t.Parallel()
	gp := `apiVersion: cw/v1
kind: Cluster
name: gp1
engine: {kind: greenplum, version: 6}
layout: {segments_per_host: 4, mirrors: group, data_dirs: [/data1], port_base: 6000, mirror_port_base: 6002}
hosts:
  - {name: cdw, address: 10.0.0.1, roles: [coordinator]}
  - {name: sdw1, address: 10.0.0.2, roles: [segment]}
`
	_, err := Parse("gp.yaml", []byte(gp))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"mirrors need two segment hosts", "overlap"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	ok := strings.Replace(strings.Replace(gp, "6002", "7000", 1), "sdw1, address: 10.0.0.2", `"sdw[1-2]", address: "10.0.0.[2-3]"`, 1)
	top, err := Parse("gp.yaml", []byte(ok))
	if err != nil {
		t.Fatal(err)
	}
	if top.TLS.Mode != TLSOff || top.OSUser != "gpadmin" || top.Database.Locale != "C.UTF-8" {
		t.Errorf("defaults: %+v", top)
	}
	for _, tt := range []struct{ name, old, repl, want string }{
		{"tls", "layout:", "tls: {mode: self-signed}\nlayout:", "gp.yaml:5:13: tls.mode: self-signed is not supported for greenplum"},
		{"version", "version: 6", "version: 5", "gp.yaml:4:36: engine.version: greenplum 5 is not supported by this version of cw: 6 or 7 is"},
		{"cloudberry version", "kind: greenplum, version: 6", "kind: cloudberry, version: 3", "engine.version: cloudberry 3 is not supported by this version of cw: 1 or 2 is"},
		{"native cloudberry", "kind: greenplum, version: 6", "kind: cloudberry, via: native", "engine.via: cloudberry is driven by its own utilities"},
		{"native 7", "version: 6", "version: 7, via: native", "engine.via: greenplum 7 is driven by its own utilities"},
		{"package", "version: 6", "package: ./gp.zip", `engine.package: "gp.zip" is neither a .tar.gz nor a .deb nor a .rpm`},
		{"spread", "mirrors: group", "mirrors: spread", "spread needs more segment hosts (2) than primaries per host (4)"},
		{"auto ports", "segments_per_host: 4", "segments_per_host: auto, port_base: 5430", "ports 5430 to 5437 hold database.port 5432"},
	} {
		text := strings.Replace(ok, tt.old, tt.repl, 1)
		if tt.name == "auto ports" {
			text = strings.Replace(text, ", port_base: 6000", "", 1)
		}
		if _, err := Parse("gp.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error lacks %q: %v", tt.name, tt.want, err)
		}
	}
	// Sockets are not in the data folder: its length does not matter.
	long := strings.Replace(ok, "/data1", "/"+strings.Repeat("x", 100), 1)
	if top, err = Parse("gp.yaml", []byte(long)); err != nil {
		t.Fatal(err)
	}
	if _, err := Expand(top, nil); err != nil {
		t.Error(err)
	}
}

func TestDiffOfSegmentClusters(t *testing.T) {
	t.Parallel()
	old := segmented(MirrorsNone, 2, "", "")
	now := segmented(MirrorsSpread, 2, "", "", "a")
	now.Hosts[0].Roles = []string{RoleCoordinator, RoleSegment}
	now.Hosts[1].Roles = nil
	now.Hosts = append(now.Hosts, Host{Name: "new", Roles: []string{RoleStandby}})
	changes, err := Diff(old, now)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range changes {
		got[c.Key] = c.Verb
	}
	want := map[string]string{
		"layout.mirrors": "cw cluster expand gp1", "hosts.new": "cw cluster expand gp1", "hosts.cdw": "cw cluster expand gp1",
		"hosts.sdw3": "cw cluster expand gp1", "hosts.sdw3.zone": "with the host", "hosts.scdw": "cw cluster shrink gp1",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("verbs = %v, want %v", got, want)
	}
	changes, err = Diff(segmented(MirrorsGroup, 2, "", ""), segmented(MirrorsNone, 2, "", ""))
	if err != nil || len(changes) != 1 || changes[0].Verb != "only in a new cluster" {
		t.Errorf("taking mirrors away: %v %v", changes, err)
	}
}

func TestLocalPathsAreTakenFromTheFilesFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.yaml"), []byte("base: loading\nsettings: {work_mem: 99MB, max_connections: 7}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "cluster.yaml")
	text := good + "database: {password_file: ./x.pass}\nprofile: ./p.yaml\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	top, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if top.Database.PasswordFile != filepath.Join(dir, "x.pass") {
		t.Errorf("password_file = %s", top.Database.PasswordFile)
	}
	got := map[string]string{}
	for _, s := range Settings(top, Machine{Memory: 8 << 30, CPUs: 4}, Machine{Memory: 8 << 30, CPUs: 4}) {
		got[s.Name] = s.Value
	}
	if got["work_mem"] != "99MB" || got["max_connections"] != "7" || got["checkpoint_timeout"] != "30min" {
		t.Errorf("profile file is not applied: %v", got)
	}
}

func TestProfileFileCannotTakeWhatTheTopologyDecides(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.yaml"), []byte("settings:\n  port: 1\n  \"bad name\": 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Parse(filepath.Join(dir, "c.yaml"), []byte(good+"profile: p.yaml\n"))
	if err == nil || !strings.Contains(err.Error(), "p.yaml:2:9: settings.port: cw sets it") || !strings.Contains(err.Error(), "is not the name of a setting") {
		t.Errorf("err = %v", err)
	}
}

func TestExpandRange(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want []string // nil for an error
	}{
		{"sdw[01-03]", []string{"sdw01", "sdw02", "sdw03"}},
		{"sdw[9-11]", []string{"sdw9", "sdw10", "sdw11"}},
		{"x[1,3,5-6]y", []string{"x1y", "x3y", "x5y", "x6y"}},
		{"plain", []string{"plain"}},
		{"[fe80::1]", []string{"[fe80::1]"}},
		{"a[1-2]b[1-2]", nil},
		{"a[3-1]", nil},
		{"a[1-99999999]", nil},
		{"a[1-99999999999999999999]", nil},
	}
	for _, tt := range tests {
		got, err := ExpandRange(tt.in)
		if (err != nil) != (tt.want == nil) || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("ExpandRange(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
		}
	}
}

func FuzzExpandRange(f *testing.F) {
	for _, s := range []string{"sdw[01-16]", "[1,2]", "[[1-2]]", "a[1-4096]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out, err := ExpandRange(s)
		if err == nil && (len(out) == 0 || len(out) > maxRange) {
			t.Errorf("%q gives %d texts", s, len(out))
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(Sample()))
	f.Fuzz(func(t *testing.T, data []byte) {
		top, err := Parse("f.yaml", data)
		if err == nil && len(top.Hosts) == 0 {
			t.Error("no hosts and no error")
		}
	})
}

func TestWhichWay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		engine       Engine
		via, product string
	}{
		{Engine{Kind: Postgres, Version: "15"}, ViaNative, "PostgreSQL 15"},
		{Engine{Kind: Greenplum}, ViaNative, "Greenplum 6"},
		{Engine{Kind: Greenplum, Version: "6"}, ViaNative, "Greenplum 6"},
		{Engine{Kind: Greenplum, Version: "7"}, ViaUtilities, "Greenplum 7"},
		{Engine{Kind: Greenplum, Via: ViaUtilities}, ViaUtilities, "Greenplum 6 or 7"},
		{Engine{Kind: Cloudberry}, ViaUtilities, "Cloudberry 1 or 2"},
		{Engine{Kind: Cloudberry, Version: "2"}, ViaUtilities, "Cloudberry 2"},
	} {
		e := tt.engine
		if e.Via == "" {
			e.Via = e.defaultVia()
		}
		if e.Via != tt.via || e.Product() != tt.product {
			t.Errorf("%+v: %s, %s", tt.engine, e.Via, e.Product())
		}
	}
}
