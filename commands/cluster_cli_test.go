package commands

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"cw/playground/pgtest"
	"cw/remote/sshtest"
)

// cliLab is two hosts on loopback addresses and a person with a home of
// their own.
type cliLab struct {
	t        *testing.T
	home     string
	topology string
	data     string
	servers  []*sshtest.Server
}

func newCLILab(t *testing.T) *cliLab {
	t.Helper()
	pgtest.BinDir(t) // skips without PostgreSQL
	if testing.Short() {
		t.Skip("-short: makes a real cluster")
	}
	l := &cliLab{t: t, home: t.TempDir(), data: pgtest.Dir(t)}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(l.home, "key")
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	owner, cred := "nobody", pgtest.Unprivileged(t)
	if cred == nil {
		me, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		owner = me.Username
	}
	hosts := ""
	for i, role := range []string{"primary", "standby"} {
		addr := fmt.Sprintf("127.%d.%d.%d", mrand.IntN(100)+20, mrand.IntN(250), i+1)
		s, err := sshtest.Listen(sshtest.Options{Addr: addr + ":0", AuthorizedKeys: []ssh.PublicKey{signer.PublicKey()}, Credential: cred, Home: l.data})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		l.servers = append(l.servers, s)
		hosts += fmt.Sprintf("  - {name: h%d, address: %s, roles: [%s], ssh_port: %d}\n", i+1, addr, role, s.Port())
	}
	port := pgtest.FreePort(t)
	l.topology = filepath.Join(l.home, "cluster.yaml")
	text := fmt.Sprintf("apiVersion: cw/v1\nkind: Cluster\nname: lab\nengine: {kind: postgres}\ndatabase: {port: %d}\nnetwork: {allow: [127.0.0.0/8]}\nssh: {user: %s, identity_file: %s, become: none}\nos_user: %s\nlayout: {data_dirs: [%s]}\nhosts:\n%s",
		port, owner, keyFile, owner, filepath.Join(l.data, "d"), hosts)
	if err := os.WriteFile(l.topology, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return l
}

// cw runs a command line and returns exit code, results and messages.
func (l *cliLab) cw(args ...string) (code int, out, errOut string) {
	l.t.Helper()
	streams, o, e := TestStreams("")
	code = mainWith(l.t.Context(), streams, func(name string) string {
		return map[string]string{"HOME": l.home, "PATH": os.Getenv("PATH")}[name]
	}, append([]string{"cw"}, args...))
	l.t.Logf("$ cw %s\nexit code %d\n%s%s", strings.Join(args, " "), code, o, e)
	return code, o.String(), e.String()
}

// want runs a command line and checks its exit code and what it says.
func (l *cliLab) want(code int, says []string, args ...string) string {
	l.t.Helper()
	got, out, errOut := l.cw(args...)
	if got != code {
		l.t.Errorf("cw %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, errOut)
	}
	for _, text := range says {
		if !strings.Contains(out+errOut, text) {
			l.t.Errorf("cw %s does not say %q:\n%s%s", strings.Join(args, " "), text, out, errOut)
		}
	}
	return out
}

func TestClusterCommands(t *testing.T) {
	t.Parallel()
	l := newCLILab(t)
	f := l.topology
	l.want(0, []string{"PostgreSQL", "will be"}[:1], "cluster", "check", "-f", f, "-o", "wide")
	l.want(0, []string{"initialise primary n1", "Plan: create lab"}, "cluster", "plan", "-f", f)
	l.want(0, []string{`"kind": "Plan"`, `"id": "clone@h2"`}, "cluster", "create", "-f", f, "--dry-run", "-o", "json")
	l.want(2, []string{"--yes"}, "cluster", "create", "-f", f)
	l.want(0, []string{"lab is UP", "streaming", "password of dwadmin"}, "cluster", "create", "-f", f, "--yes")
	t.Cleanup(func() { l.cw("cluster", "delete", "lab", "--confirm", "lab") })
	l.want(0, []string{"nothing to do"}, "cluster", "create", "-f", f, "--yes")
	l.want(0, []string{"lab", "postgres"}, "cluster", "list")

	var st struct {
		Kind, State string
		Nodes       []struct{ ID, Role, State, Mode string }
		Hosts       []struct{ Reachable bool }
	}
	if err := json.Unmarshal([]byte(l.want(0, nil, "cluster", "status", "lab", "-o", "json")), &st); err != nil {
		t.Fatal(err)
	}
	if st.Kind != "ClusterStatus" || st.State != "up" || len(st.Nodes) != 2 || st.Nodes[1].ID != "n2" || st.Nodes[1].Mode != "streaming" || !st.Hosts[0].Reachable {
		t.Errorf("status = %+v", st)
	}
	l.want(0, []string{"stop node n1", "lab is DOWN"}, "cluster", "stop", "lab", "--yes")
	l.want(1, []string{"is stopped"}, "cluster", "status", "lab", "--exit-code")
	l.want(0, []string{"lab is UP"}, "cluster", "start", "lab", "--yes", "--progress", "json")
	l.want(0, []string{"nothing of cluster lab is unfinished"}, "cluster", "resume", "lab")
	l.want(0, []string{"is not locked"}, "cluster", "unlock", "lab")
	l.servers[1].Close()
	l.want(8, []string{"DEGRADED", "host h2 does not answer"}, "cluster", "status", "lab", "--exit-code")
	l.want(2, []string{`"lba" is not the name of the cluster (lab)`}, "cluster", "delete", "lab", "--confirm", "lba")
	l.want(3, []string{"on host h2"}, "cluster", "delete", "lab", "--confirm", "lab")
	l.want(2, []string{"its delete is not finished", "cw cluster resume lab"}, "cluster", "start", "lab")
}

func TestClusterCommandsThatAreWrong(t *testing.T) {
	t.Parallel()
	l := &cliLab{t: t, home: t.TempDir()}
	file := filepath.Join(l.home, "c.yaml")
	l.want(0, []string{"cw cluster check -f"}, "cluster", "init", file, "--name", "dw9", "--hosts", "10.9.9.1,10.9.9.2")
	l.want(2, []string{"exists already", "--force"}, "cluster", "init", file)
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), `name: db2, address: "10.9.9.2", roles: [standby]`) {
		t.Errorf("init wrote %s %v", text, err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "profile:", "profil:", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	l.want(2, []string{"c.yaml:", `did you mean "profile"?`}, "cluster", "create", "-f", file)
	l.want(2, []string{"no topology was named"}, "cluster", "create")
	l.want(2, []string{"cw cluster list"}, "cluster", "status", "nope")
	l.want(2, []string{"smart, fast, immediate"}, "cluster", "stop", "nope", "--mode", "soft")
	l.want(2, []string{"add -f"}, "cluster", "plan")
	l.want(0, []string{`"items": []`}, "cluster", "list", "-o", "json")
}
