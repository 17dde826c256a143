package manage

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cw/cluster"
	"cw/fault"
)

// ownCertificate writes a self-signed certificate for a host.
func ownCertificate(t *testing.T, dir string, h cluster.Host) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: h.Name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP(h.Address)}, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"crt": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, h.Name+"."+name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTLSModesAndAPasswordOfOnesOwn(t *testing.T) {
	t.Parallel()
	const password = `pä'ss "w$rd\ 100%`
	for _, mode := range []string{cluster.TLSOff, cluster.TLSFiles} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 2)
			l.top.TLS = cluster.TLS{Mode: mode}
			l.top.Database.PasswordFile = filepath.Join(l.dir, "my.pass")
			if err := os.WriteFile(l.top.Database.PasswordFile, []byte(password+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			sslmode := "disable"
			if mode == cluster.TLSFiles {
				sslmode = "verify-full sslrootcert=" + filepath.Join(l.dir, "h1.crt")
				l.top.TLS.CertFile, l.top.TLS.KeyFile = filepath.Join(l.dir, "{host}.crt"), filepath.Join(l.dir, "{host}.key")
				_, err := l.m.Create(t.Context(), l.top)
				wantFault(t, err, fault.Usage, "h1.crt", "tls.cert_file")
				for _, h := range l.top.Hosts {
					ownCertificate(t, l.dir, h)
				}
			}
			l.create()
			st := l.want(cluster.Up)
			if st.Nodes[1].Mode != cluster.ModeStreaming {
				t.Errorf("nodes = %+v", st.Nodes)
			}
			query := func(pw string) (string, error) {
				c := exec.CommandContext(t.Context(), "psql", "-XAtqc", "select pg_has_role('pg_monitor', 'member'), current_setting('ssl')",
					"host="+st.Endpoint.Host+" port="+strconv.Itoa(st.Endpoint.Port)+" dbname=wh user=boss sslmode="+sslmode)
				c.Env = append(os.Environ(), "PGPASSWORD="+pw, "PGCLIENTENCODING=UTF8")
				out, err := c.CombinedOutput()
				return strings.TrimSpace(string(out)), err
			}
			want := map[string]string{cluster.TLSOff: "t|off", cluster.TLSFiles: "t|on"}[mode]
			if out, err := query(password); err != nil || out != want {
				t.Errorf("with the password: %s %v", out, err)
			}
			if out, err := query("wrong"); err == nil || !strings.Contains(out, "password authentication failed") {
				t.Errorf("with a wrong password: %s %v", out, err)
			}
			l.run(l.m.Delete(t.Context(), "lab"))
			l.empty()
			if _, err := os.Stat(l.top.Database.PasswordFile); err != nil {
				t.Errorf("delete took a file of the user's: %v", err)
			}
		})
	}
}

// No secret may be in a command line, in the store, or in a server's log.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.create()
	l.want(cluster.Up)
	var secrets []string
	for _, f := range []string{"admin.pass", "replication.pass", "ca.key"} {
		file := filepath.Join(l.m.Dir("lab"), f)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f, info.Mode())
		}
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		secrets = append(secrets, lines[len(lines)/2])
	}
	places := map[string]string{}
	for _, s := range l.servers {
		places["command lines"] += strings.Join(s.Calls(), "\n")
	}
	logs, _ := filepath.Glob(filepath.Join(l.data, "lab", "*", "log", "*"))
	stores, _ := filepath.Glob(filepath.Join(l.dir, "state.db*"))
	confs, _ := filepath.Glob(filepath.Join(l.data, "lab", "*", "data", "conf.d", "*"))
	if len(logs) < 4 || len(stores) == 0 || len(confs) < 4 || len(places["command lines"]) < 1000 {
		t.Fatalf("too little to look at: %v %v %v", logs, stores, confs)
	}
	for _, f := range append(append(logs, stores...), confs...) {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		places[f] = string(data)
	}
	for place, text := range places {
		for i, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("secret %d is in %s", i, place)
			}
		}
	}
}
