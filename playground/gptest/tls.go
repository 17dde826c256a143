package gptest

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
	"strconv"
	"testing"
	"time"
)

// authority is a certificate authority of a test's own.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue writes NAME.crt, NAME.key and root.crt into a folder.
func (a *authority) issue(t testing.TB, dir, name string, notAfter time.Time) []string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for file, data := range map[string][]byte{
		name + ".crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		name + ".key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), "root.crt": a.pem,
	} {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	return files
}

// Certificates gives all segments a client certificate for gpfdists and
// returns folders with a server's: one that is valid and one that has expired.
func (c *Cluster) Certificates(t testing.TB) (valid, expired string) {
	t.Helper()
	a := newAuthority(t)
	for i := -1; i < len(c.Segments); i++ {
		dir := filepath.Join(c.Dir, "m", "gpfdists")
		if i >= 0 {
			dir = filepath.Join(c.Dir, strconv.Itoa(i), "gpfdists")
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, file := range append(a.issue(t, dir, "client", time.Now().Add(24*time.Hour)), dir) {
			if c.cred != nil {
				if err := os.Chown(file, int(c.cred.Uid), int(c.cred.Gid)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	valid, expired = t.TempDir(), t.TempDir()
	a.issue(t, valid, "server", time.Now().Add(24*time.Hour))
	a.issue(t, expired, "server", time.Now().Add(-time.Hour))
	return valid, expired
}

// ForeignCertificate is a folder with the certificate of a server that an
// authority unknown to the segments has signed.
func ForeignCertificate(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	newAuthority(t).issue(t, dir, "server", time.Now().Add(24*time.Hour))
	return dir
}
