package gpload

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
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/playground/gptest"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.key = a.newKey()
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

// write puts root.crt, NAME.crt and NAME.key into a folder.
func (a *authority) write(dir, name string, uid, gid int) {
	a.t.Helper()
	root, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	key := a.newKey()
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, leaf, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		"root.crt": {Type: "CERTIFICATE", Bytes: root}, name + ".crt": {Type: "CERTIFICATE", Bytes: cert}, name + ".key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
		if err := os.Chown(path, uid, gid); err != nil {
			a.t.Fatal(err)
		}
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		a.t.Fatal(err)
	}
}

func testTLS(t *testing.T, w *world) {
	uid, gid := os.Getuid(), os.Getgid()
	if cred, _ := gptest.User(t); cred != nil {
		uid, gid = int(cred.Uid), int(cred.Gid)
	}
	a := newAuthority(t)
	for _, segment := range []string{"0", "1"} {
		a.write(filepath.Join(w.g.Dir, segment, "gpfdists"), "client", uid, gid)
	}
	server := filepath.Join(w.dir, "certs")
	a.write(server, "server", os.Getuid(), os.Getgid())
	w.exec(`create table t(a int) distributed by (a)`)
	data := w.file("in.csv", "1\n2\n")
	control := w.control(data, "FORMAT: csv", "TABLE: t", "")
	text, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	secure := strings.Replace(string(text), "        FILE:", "        SSL: true\n        CERTIFICATES_PATH: "+server+"\n        FILE:", 1)
	code, out := w.gpload(w.file("tls.yaml", secure))
	if code != 0 || !strings.Contains(out, "INFO|started gpfdist --ssl "+server+" -p ") {
		t.Errorf("%d %s", code, out)
	}
	if got := w.query("select count(*)::text from t"); got != "2" {
		t.Error(got)
	}
	// A server whose certificate another authority has signed is not believed.
	other := filepath.Join(w.dir, "others")
	newAuthority(t).write(other, "server", os.Getuid(), os.Getgid())
	if code, out := w.gpload(w.file("tls.yaml", strings.Replace(secure, server, other, 1))); code != 2 {
		t.Errorf("%d %s", code, out)
	}
	// What the folder lacks is told.
	code, out = w.gpload(w.file("tls.yaml", strings.Replace(secure, server, w.dir, 1)), "-v")
	if code != 2 || !strings.Contains(out, "ERROR|failed to start gpfdist: gpfdist command line: gpfdist --ssl ") || !strings.Contains(out, "server.crt") {
		t.Errorf("%d %s", code, out)
	}
	w.nothingLeft()
}
