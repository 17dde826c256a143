package hostprep

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"cw/cluster"
	"cw/playground/lab"
	"cw/remote"
	"cw/remote/sshtest"
)

// fakePostgres answers as the engine does when asked for its versions.
const fakePostgres = `#!/bin/sh
case $1 in
--gp-version) echo "postgres (Greenplum Database) %[1]s build commit:%[2]s";;
--catalog-version) echo "Catalog version number:               %[3]s";;
esac
`

// enginePackage makes a .tar.gz with a made-up engine below top.
func enginePackage(t *testing.T, name, top, version string) string {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	files := map[string]string{"bin/postgres": fmt.Sprintf(fakePostgres, version, "abc", "42"), "bin/initdb": "#!/bin/sh\n", "share/filler": strings.Repeat("x", 600<<10)}
	for _, f := range []string{"bin/postgres", "bin/initdb", "share/filler"} {
		mode := int64(0o755)
		if f == "share/filler" {
			mode = 0o644
		}
		if err := w.WriteHeader(&tar.Header{Name: top + f, Mode: mode, Size: int64(len(files[f])), Typeflag: tar.TypeReg, ModTime: time.Unix(1, 0)}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[f])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// install puts a made-up engine on a host of the lab.
func install(l *lab.Lab, i int, home, build string) {
	l.Run(i, "sh", "-c", fmt.Sprintf("mkdir -p %[1]s/bin && cat >%[1]s/bin/postgres <<'E'\n%[2]sE\ncp %[1]s/bin/postgres %[1]s/bin/initdb; chmod 755 %[1]s/bin/*", home, fmt.Sprintf(fakePostgres, "6.24.3", build, "42")))
}

func failedChecks(r Report) string {
	var out []string
	for _, c := range r.Checks {
		if !c.OK {
			out = append(out, fmt.Sprintf("%s %s: %s", c.Host, c.ID, c.Observed))
		}
	}
	return strings.Join(out, "\n")
}

func checkOf(r Report, host, id string) Check {
	for _, c := range r.Checks {
		if c.Host == host && c.ID == id {
			return c
		}
	}
	return Check{Observed: "there is no such check"}
}

func TestPreflightOfRealHosts(t *testing.T) {
	l := lab.Up(t, 3)
	const home = "/data/gp home"
	setup := func(top *cluster.Topology) {
		top.Engine.Home = home
		top.Database.Port, top.Layout.PortBase, top.Layout.MirrorPortBase = 15432, 16000, 17000
	}
	f := labFleet(t, l, setup)
	for i := range l.Hosts {
		install(l, i+1, "'"+home+"'", "abc")
	}
	addOwner(l, 1)
	l.Run(2, "useradd", "--create-home", "--uid", "4321", dbUser)
	r := Run(t.Context(), f, "")
	if err := r.Err(); err != nil {
		t.Fatalf("%v\n%s", err, failedChecks(r))
	}
	for id, want := range map[string]string{
		"access": "yes, as deploy with sudo", "data directory": "/data/a/gp1/n1: absent", "port": "15432 is free, 16000 is free", "greenplum": "6.24.3 in " + home, "host names": "they do", "locale": "yes", "same greenplum": "commit:abc",
		"semaphores": " ", "port range": "they are", "shared memory of nodes": "of memory", "disk space": "free at /data",
	} {
		if c := checkOf(r, "db1", id); !c.OK || !strings.Contains(c.Observed, want) {
			t.Errorf("%s: %+v", id, c)
		}
	}
	if c := checkOf(r, "db3", "access"); c.Observed != "user "+dbUser+" will be created" {
		t.Errorf("access of db3: %+v", c)
	}
	if c := checkOf(r, "db2", "user id"); c.OK || c.Severity != Advised {
		t.Errorf("user id of db2: %+v", c)
	}
	if m, err := f.Machines(t.Context()); err != nil || m["db1"].Memory == 0 || m["db1"].Disk == 0 || len(m) != 3 {
		t.Errorf("machines %+v %v", m, err)
	}

	// Break one thing on each host.
	install(l, 3, "'"+home+"'", "other")
	l.Run(1, "sh", "-c", "mkdir -p /data/b/gp1/n3 && echo x >/data/b/gp1/n3/precious && chown -R "+dbUser+": /data/b")
	l.Run(2, "sh", "-c", "sed -i '/db1/d' /etc/hosts")
	f = labFleet(t, l, func(top *cluster.Topology) {
		setup(top)
		top.Hosts[2].Interconnect = []string{"10.99.99.99"}
		top.Database.Locale = "xx_YY.UTF-8"
		top.Layout.PortBase = l.Hosts[0].Port // sshd's
	})
	r = Run(t.Context(), f, "")
	for _, want := range []struct{ host, id, text string }{
		{"db3", "same greenplum", "commit:other"},
		{"db1", "data directory", "/data/b/gp1/n3 is not empty and not this cluster's: it holds precious"},
		{"db2", "host names", "db1 is not known"},
		{"db3", "interconnect", "10.99.99.99 is on none of its interfaces"},
		{"db2", "locale", "it has "},
		{"db2", "port", fmt.Sprintf("%d is taken", l.Hosts[0].Port)},
	} {
		if c := checkOf(r, want.host, want.id); c.OK || !strings.Contains(c.Observed, want.text) {
			t.Errorf("%s %s: %+v", want.host, want.id, c)
		}
	}
	r = Run(t.Context(), labFleet(t, l, func(top *cluster.Topology) {
		setup(top)
		top.Hosts[2].SSHPort = 1
	}), "")
	if c := checkOf(r, "db3", "ssh"); c.OK || r.Err() == nil {
		t.Errorf("a host that does not answer: %+v", c)
	}
	if c := checkOf(r, "db2", "semaphores"); !c.OK {
		t.Errorf("the others are looked at all the same: %+v\n%s", c, failedChecks(r))
	}
}

// TestCommandsOfAPreflight counts what each host is asked: the facts, what
// anybody may ask, what only the owner sees.
func TestCommandsOfAPreflight(t *testing.T) {
	t.Parallel()
	me, err := user.Current()
	if err != nil {
		t.Skip("who am I: " + err.Error())
	}
	key, err := sshtest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		kind string
		want int
	}{{cluster.Postgres, 2}, {cluster.Greenplum, 2}} {
		t.Run(tt.kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file, public := clientKey(t, dir)
			s, err := sshtest.Listen(sshtest.Options{HostKeys: []ssh.Signer{key}, AuthorizedKeys: []ssh.PublicKey{public}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			top := &cluster.Topology{
				Name: "c", Engine: cluster.Engine{Kind: tt.kind, Home: dir}, OSUser: me.Username, Profile: "default", NodeType: cluster.LowSpeed,
				Database: cluster.Database{Port: 15432, Locale: "C"}, SSH: cluster.SSH{User: me.Username, IdentityFile: file},
				Layout: cluster.Rule{SegmentsPerHost: "8", DataDirs: []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}, PortBase: 16000, MirrorPortBase: 17000},
				Hosts:  []cluster.Host{{Name: "one", Address: s.Addr(), SSHPort: s.Port(), Roles: []string{cluster.RoleCoordinator, cluster.RoleSegment}}},
			}
			lay, err := cluster.Expand(top, nil)
			if err != nil {
				t.Fatal(err)
			}
			pool := remote.NewPool(remote.Options{KnownHosts: filepath.Join(dir, "known_hosts")})
			t.Cleanup(pool.Close)
			r := Run(t.Context(), NewFleet(pool, top, lay, nil), "")
			if got := len(s.Calls()); got != tt.want {
				t.Errorf("%d commands, want %d", got, tt.want)
			}
			if c := checkOf(r, "one", "data directory"); !c.OK {
				t.Errorf("%+v", c)
			}
		})
	}
}

// clientKey writes a new private key to a file in dir.
func clientKey(t *testing.T, dir string) (file string, public ssh.PublicKey) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	if public, err = ssh.NewPublicKey(pub); err != nil {
		t.Fatal(err)
	}
	return file, public
}

func TestInstallFromTar(t *testing.T) {
	l := lab.Up(t, 2)
	for _, tt := range []struct {
		name, top, home, owner string
	}{
		{"folder inside, made by root", "greenplum-db-6.24.3/", "/data/soft/gp", dbUser},
		{"no folder inside, made by the owner", "", "/data/own/gp", dbUser},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := enginePackage(t, "greenplum-db-6.24.3-any.tar.gz", tt.top, "6.24.3")
			f := labFleet(t, l, func(top *cluster.Topology) { top.Engine.Home, top.Engine.Package = tt.home, file })
			for i, h := range l.Hosts {
				if _, err := l.Try(i+1, "id", dbUser); err != nil {
					addOwner(l, i+1)
				}
				l.Run(i+1, "sh", "-c", "mkdir -p /data/own && chown "+dbUser+": /data/own")
				if c := checkOf(Run(t.Context(), f, ""), h.Name, "greenplum"); !c.OK || c.Observed != "will be installed" {
					t.Errorf("before: %+v", c)
				}
			}
			// What a killed run left behind goes with the next one.
			l.Run(1, "sh", "-c", "mkdir -p "+tt.home+".cw-new/bin /var/tmp/cw-engine@gp1@db1@old && chown deploy: /var/tmp/cw-engine@gp1@db1@old && chown -R "+dbUser+": "+tt.home+".cw-new")
			install := func() {
				t.Helper()
				_, err := remote.Each(t.Context(), f.Hosts(), 0, func(ctx context.Context, h *remote.Host) (struct{}, error) {
					return struct{}{}, f.InstallGreenplum(ctx, h.Name())
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			install()
			before := l.Run(1, "stat", "-c", "%i %Y", tt.home)
			install()
			if l.Run(1, "stat", "-c", "%i %Y", tt.home) != before {
				t.Error("it was installed twice")
			}
			for i, h := range l.Hosts {
				if home, err := f.Greenplum(t.Context(), h.Name); err != nil || home.Dir != tt.home || home.Catalog != "42" {
					t.Errorf("%s: %+v %v", h.Name, home, err)
				}
				if got := l.Run(i+1, "stat", "-c", "%U", tt.home+"/bin/postgres"); got != tt.owner+"\n" {
					t.Errorf("owner is %s", got)
				}
				if left := l.Run(i+1, "sh", "-c", "ls -d /var/tmp/cw-engine* "+tt.home+".cw-new 2>/dev/null || :"); left != "" {
					t.Errorf("left behind: %s", left)
				}
			}
			newer := enginePackage(t, "greenplum-db-6.25.0.tar.gz", "", "6.25.0")
			f = labFleet(t, l, func(top *cluster.Topology) { top.Engine.Home, top.Engine.Package = tt.home, newer })
			if err := f.InstallGreenplum(t.Context(), "db1"); err == nil || !strings.Contains(err.Error(), "6.24.3 in "+tt.home+" is installed, and greenplum-db-6.25.0.tar.gz is 6.25.0") {
				t.Errorf("another version: %v", err)
			}
		})
	}
}

func TestInstallRefuses(t *testing.T) {
	l := lab.Up(t, 1)
	addOwner(l, 1)
	l.Run(1, "sh", "-c", "mkdir -p /data/full && echo x >/data/full/precious")
	empty := filepath.Join(t.TempDir(), "empty.tar.gz")
	if out, err := exec.Command("tar", "-czf", empty, "-T", "/dev/null").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	broken := filepath.Join(t.TempDir(), "broken.tar.gz")
	if err := os.WriteFile(broken, []byte("no archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := enginePackage(t, "gp.tar.gz", "", "6.24.3")
	for _, tt := range []struct{ name, home, file, want string }{
		{"folder in use", "/data/full", good, "/data/full is not empty and no Greenplum"},
		{"no engine inside", "/data/x/gp", empty, "the package has no bin/postgres"},
		{"no archive", "/data/x/gp", broken, "gzip"},
		{"no file", "/data/x/gp", "/nonexistent/gp.tar.gz", "no such file"},
		{"other major", "/data/x/gp", enginePackage(t, "seven.tar.gz", "", "7.1.0"), "was installed, but: db1: Greenplum 6 is not installed (found: 7.1.0"},
	} {
		f := labFleet(t, l, func(top *cluster.Topology) { top.Engine.Home, top.Engine.Package = tt.home, tt.file })
		if err := f.InstallGreenplum(t.Context(), "db1"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if left := l.Run(1, "sh", "-c", "ls -d /var/tmp/cw-engine* /data/*/gp.cw-new 2>/dev/null || :"); left != "" {
			t.Errorf("%s: left behind: %s", tt.name, left)
		}
	}
	if got := l.Run(1, "cat", "/data/full/precious"); got != "x\n" {
		t.Errorf("precious is %q", got)
	}
}

func TestInstallFromDeb(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("no dpkg-deb")
	}
	l := lab.Up(t, 1)
	if _, err := l.Try(1, "sh", "-c", "test -w /var/lib/dpkg/status && test -w /usr/local"); err != nil {
		t.Skip("the hosts of this lab cannot install packages: it runs without real root")
	}
	addOwner(l, 1)
	build := func(name, depends string) string {
		t.Helper()
		dir := t.TempDir()
		for path, text := range map[string]string{
			"DEBIAN/control": "Package: " + name + "\nVersion: 6.24.3\nArchitecture: all\nMaintainer: nobody <n@example.com>\nDescription: made up\n" + depends,
			"opt/greenplum-db-6.24.3-cw/bin/postgres": fmt.Sprintf(fakePostgres, "6.24.3", "abc", "42"),
			"opt/greenplum-db-6.24.3-cw/bin/initdb":   "#!/bin/sh\n",
		} {
			file := filepath.Join(dir, path)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		file := filepath.Join(t.TempDir(), name+".deb")
		if out, err := exec.Command("dpkg-deb", "--root-owner-group", "--build", dir, file).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return file
	}
	fleet := func(file string) *Fleet {
		return labFleet(t, l, func(top *cluster.Topology) { top.Engine.Home, top.Engine.Package = "", file })
	}
	err := fleet(build("cw-needy", "Depends: cw-no-such-library (>= 2), cw-nor-this\n")).InstallGreenplum(t.Context(), "db1")
	if err == nil || !strings.Contains(err.Error(), "it needs cw-no-such-library (>= 2)") || !strings.Contains(err.Error(), "it needs cw-nor-this") {
		t.Errorf("missing needs: %v", err)
	}
	if out, err := l.Try(1, "sh", "-c", "dpkg -s cw-needy 2>/dev/null | grep ^Status; ls -d /var/tmp/cw-engine* 2>/dev/null"); strings.Contains(out, "unpacked") || strings.Contains(out, "cw-engine") {
		t.Errorf("left behind: %s %v", out, err)
	}
	f := fleet(build("cw-engine", ""))
	if c := checkOf(Run(t.Context(), f, ""), "db1", "greenplum"); !c.OK || c.Observed != "will be installed" {
		t.Errorf("before: %+v", c)
	}
	for range 2 {
		if err := f.InstallGreenplum(t.Context(), "db1"); err != nil {
			t.Fatal(err)
		}
	}
	if h, err := f.Greenplum(t.Context(), "db1"); err != nil || h.Dir != "/opt/greenplum-db-6.24.3-cw" {
		t.Errorf("%+v %v", h, err)
	}
}
