package remote

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"cw/fault"
)

const sshConfig = `# a person's file
Host db1 alias-*
  HostName 10.0.0.1
  User deploy
  Port 2222
  IdentityFile ~/.ssh/id_db
  ProxyJump bastion

Host bastion
  HostName bastion.example
  User jumper
  ProxyJump outer:2200
  IdentityFile /keys/%h_%r

Host outer
  IdentitiesOnly yes

Host circle1
  ProxyJump circle2
Host circle2
  ProxyJump circle1
Host self
  ProxyJump self

Host *
  IdentityFile ~/.ssh/id_all
`

func TestResolve(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(sshConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := newResolver(file)
	if err != nil {
		t.Fatal(err)
	}
	r.home, r.local = "/home/me", "me"
	for _, tc := range []struct {
		name  string
		t     Target
		login string
		ids   []string
		via   []string
		fails string
	}{
		{
			"alias",
			Target{Address: "db1"},
			"ssh -p 2222 -i /home/me/.ssh/id_db -J me@outer:2200,jumper@bastion.example:22 deploy@10.0.0.1",
			[]string{"/home/me/.ssh/id_db", "/home/me/.ssh/id_all"},
			[]string{"me@outer:2200", "jumper@bastion.example:22"},
			"",
		},
		{
			"pattern, overridden",
			Target{Address: "alias-7", Port: 22, User: "root", Jump: "none", IdentityFile: "~/k"},
			"ssh -i /home/me/k root@10.0.0.1",
			[]string{"/home/me/k"},
			nil, "",
		},
		{"not in the file", Target{Address: "10.9.9.9"}, "ssh -i /home/me/.ssh/id_all me@10.9.9.9", []string{"/home/me/.ssh/id_all"}, nil, ""},
		{
			"explicit hops",
			Target{Address: "h", User: "u", IdentityFile: "/k", Jump: "ssh://a@j1:2201, j2 ,c@[::1]:24"},
			"ssh -i /k -J 'a@j1:2201,me@j2:22,c@[::1]:24' u@h",
			[]string{"/k"},
			[]string{"a@j1:2201", "me@j2:22", "c@[::1]:24"},
			"",
		},
		{"IPv6", Target{Address: "::1", User: "u", Port: 2222}, "ssh -p 2222 -i /home/me/.ssh/id_all u@::1", []string{"/home/me/.ssh/id_all"}, nil, ""},
		{"circle", Target{Address: "circle1"}, "", nil, nil, "jump hosts"},
		{"circle of one", Target{Address: "self"}, "ssh -i /home/me/.ssh/id_all -J me@self:22 me@self", []string{"/home/me/.ssh/id_all"}, []string{"me@self:22"}, ""},
		{"bad hop", Target{Address: "h", Jump: "a@:99"}, "", nil, nil, "no host name"},
		{"bad port", Target{Address: "h", Jump: "a:99999"}, "", nil, nil, "bad port"},
		{"no address", Target{Name: "x"}, "", nil, nil, "no address"},
		{"policy", Target{Address: "h", HostKey: "yes"}, "", nil, nil, "host key policy"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e, err := r.target(tc.t)
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) || fault.KindOf(err) != fault.Usage {
					t.Fatalf("error %v, want %s", err, tc.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var via []string
			for _, hop := range e.via {
				via = append(via, hop.user+"@"+hop.addr())
			}
			if !reflect.DeepEqual(via, tc.via) || !reflect.DeepEqual(e.identities, tc.ids) || e.login() != tc.login {
				t.Errorf("via %q\nidentities %q\nlogin %s", via, e.identities, e.login())
			}
		})
	}
}

func TestResolveWithoutAFile(t *testing.T) {
	t.Parallel()
	r, err := newResolver(filepath.Join(t.TempDir(), "missing"))
	if err != nil {
		t.Fatal(err)
	}
	r.home = "/home/me"
	e, err := r.target(Target{Address: "h", User: "u"})
	if err != nil || e.port != 22 || e.chosen || len(e.identities) != 3 || e.hostKey != HostKeyAcceptNew {
		t.Errorf("%+v %v", e, err)
	}
	if got := e.login(); got != "ssh u@h" {
		t.Errorf("login %s", got)
	}
}
