package hostprep

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"cw/cluster"
	"cw/playground/lab"
	"cw/remote"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

const dbUser = "cwowner" // a name that no machine has

// labFleet is a Greenplum topology on lab hosts: the first one is coordinator,
// all have segments.
func labFleet(t *testing.T, l *lab.Lab, edit func(*cluster.Topology)) *Fleet {
	t.Helper()
	top := &cluster.Topology{
		Name: "gp1", Engine: cluster.Engine{Kind: cluster.Greenplum, Home: "/opt/cw-test/gp"}, Profile: "default", NodeType: cluster.LowSpeed, OSUser: dbUser,
		Database: cluster.Database{Port: 5432, Locale: "C.UTF-8"}, SSH: cluster.SSH{User: lab.User, IdentityFile: l.Key},
		Layout: cluster.Rule{SegmentsPerHost: "2", Mirrors: cluster.MirrorsNone, DataDirs: []string{"/data/a", "/data/b"}, PortBase: 6000, MirrorPortBase: 7000},
	}
	for i, h := range l.Hosts {
		host := cluster.Host{Name: h.Name, Address: h.Addr, SSHPort: h.Port, Roles: []string{cluster.RoleSegment}}
		if i == 0 {
			host.Roles = append(host.Roles, cluster.RoleCoordinator)
		}
		top.Hosts = append(top.Hosts, host)
	}
	if len(l.Hosts) > 1 {
		top.Layout.Mirrors = cluster.MirrorsGroup
	}
	if edit != nil {
		edit(top)
	}
	lay, err := cluster.Expand(top, nil)
	if err != nil {
		t.Fatal(err)
	}
	pool := remote.NewPool(remote.Options{KnownHosts: filepath.Join(t.TempDir(), "known_hosts")})
	t.Cleanup(pool.Close)
	return NewFleet(pool, top, lay, nil)
}

func claimsOf(f *Fleet, host, uid string) []Claim {
	var out []Claim
	for _, n := range f.Layout.On(host) {
		out = append(out, Claim{n.Dir, Marker{Cluster: "gp1", UID: uid, Node: n.Name(), Run: "r1"}})
	}
	return out
}

func states(dirs []Dir) string {
	var out []string
	for _, d := range dirs {
		out = append(out, d.State)
	}
	return strings.Join(out, " ")
}

// addOwner makes the database's user on a host.
func addOwner(l *lab.Lab, i int) { l.Run(i, "useradd", "--create-home", dbUser) }

func TestFoldersOfManyNodes(t *testing.T) {
	l := lab.Up(t, 1)
	f := labFleet(t, l, nil)
	ctx := t.Context()
	addOwner(l, 1)
	l.Run(1, "sh", "-c", "mkdir -p /data/b && chown "+dbUser+": /data/b") // /data/a is for root to make
	claims := claimsOf(f, "db1", "c1")
	look := func(want string) []Dir {
		t.Helper()
		dirs, err := f.LookDirs(ctx, "db1", dbUser, claims)
		if err != nil || states(dirs) != want {
			t.Fatalf("states %q, want %q: %v", states(dirs), want, err)
		}
		return dirs
	}
	look("absent absent absent")
	for range 2 { // again changes nothing
		if err := f.ClaimAll(ctx, "db1", dbUser, claims); err != nil {
			t.Fatal(err)
		}
	}
	dirs := look("ours ours ours")
	// n1 and n2 in /data/a, n3 in /data/b.
	if m := dirs[0].Marker; !m.ByRoot || !reflect.DeepEqual(m.Created, []string{"/data/a", "/data/a/gp1"}) || m.Node != "n1" || m.Run != "r1" {
		t.Errorf("marker of n1: %+v", m)
	}
	if m := dirs[2].Marker; m.ByRoot || !reflect.DeepEqual(m.Created, []string{"/data/b/gp1"}) {
		t.Errorf("marker of n3: %+v", m)
	}
	for _, c := range claims {
		if got := l.Run(1, "stat", "-c", "%U %a", c.Dir, c.Dir+"/"+MarkerFile); got != dbUser+" 700\n"+dbUser+" 600\n" {
			t.Errorf("%s: %s", c.Dir, got)
		}
	}
	single, err := f.LookDir(ctx, "db1", dbUser, claims[0].Dir, claims[0].Marker)
	if err != nil || !reflect.DeepEqual(single, dirs[0]) {
		t.Errorf("LookDir %+v, LookDirs %+v, %v", single, dirs[0], err)
	}
	other := claimsOf(f, "db1", "c2")
	if err := f.ClaimAll(ctx, "db1", dbUser, other); err == nil || !strings.Contains(err.Error(), "another cluster's") {
		t.Errorf("claiming what is another's: %v", err)
	}
	if err := f.RemoveAll(ctx, "db1", dbUser, other); err == nil || !strings.Contains(err.Error(), "is not this cluster's") {
		t.Errorf("removing what is another's: %v", err)
	}
	l.Run(1, "sh", "-c", "mkdir -p '"+claims[1].Dir+"/gpseg0/base/with space' && echo x > "+claims[1].Dir+"/gpseg0/PG_VERSION && chown -R "+dbUser+": "+claims[1].Dir)
	for range 2 {
		if err := f.RemoveAll(ctx, "db1", dbUser, claims); err != nil {
			t.Fatal(err)
		}
	}
	look("absent absent absent")
	f.UnclaimAll(ctx, "db1", dbUser, []Marker{dirs[0].Marker, dirs[1].Marker, dirs[2].Marker})
	if left := l.Run(1, "ls", "-A", "/data"); left != "b\n" {
		t.Errorf("left in /data: %q", left)
	}
}

func TestFoldersThatAreNotOurs(t *testing.T) {
	l := lab.Up(t, 1)
	f := labFleet(t, l, nil)
	ctx := t.Context()
	addOwner(l, 1)
	at := func(name string) Claim {
		return Claim{"/data/" + name, Marker{Cluster: "gp1", UID: "c1", Node: "n1"}}
	}
	other, err := json.MarshalIndent(Marker{Cluster: "gp1", UID: "c0", Node: "n1"}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	l.Run(1, "sh", "-c", fmt.Sprintf(`cd /data && mkdir empty full crashed same closed broken && touch file 'full/folder absent w' full/b full/c full/d full/e full/f
touch crashed/%s; echo '%s' >same/%s; echo '{' >broken/%s; chmod 700 closed; chown -R %s: empty full crashed same broken; ln -s nowhere link`, newMarker, other, MarkerFile, MarkerFile, dbUser))
	want := []struct{ name, state, contents string }{
		{"empty", DirEmpty, ""},
		{"crashed", DirEmpty, ""},
		{"file", DirUnreadable, "not a folder"},
		{"link", DirUnreadable, "not a folder"},
		{"full", DirForeign, "b, c, d, e, f"},
		{"same", DirForeign, "node n1 of cluster gp1, another one of the same name"},
		{"broken", DirForeign, MarkerFile + " that is not readable"},
		{"closed", DirUnreadable, "Permission denied"},
		{"with space/n1", DirAbsent, ""},
	}
	var claims []Claim
	for _, w := range want {
		claims = append(claims, at(w.name))
	}
	dirs, err := f.LookDirs(ctx, "db1", dbUser, claims)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		if dirs[i].State != w.state || !strings.Contains(dirs[i].Contents, w.contents) {
			t.Errorf("%s: %+v, want %+v", w.name, dirs[i], w)
		}
	}
	if err := f.ClaimAll(ctx, "db1", dbUser, []Claim{at("crashed"), at("with space/n1")}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []Claim{at("crashed"), at("with space/n1")} {
		if d, err := f.LookDir(ctx, "db1", dbUser, c.Dir, c.Marker); err != nil || d.State != DirOurs {
			t.Errorf("%s: %+v %v", c.Dir, d, err)
		}
	}
	if err := f.RemoveAll(ctx, "db1", dbUser, []Claim{at("full")}); err == nil {
		t.Error("a foreign folder was removed")
	}
	l.Run(1, "test", "-e", "/data/full/b")
	if err := f.ClaimAll(ctx, "db1", dbUser, []Claim{at(`a"b`)}); err == nil {
		t.Error("a folder that JSON cannot hold was claimed")
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := f.LookDirs(cancelled, "db1", dbUser, claims); err == nil {
		t.Error("no error after cancellation")
	}
}
