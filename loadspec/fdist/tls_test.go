package fdist

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/fault"
)

// authority makes certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{t: t}
	a.pem, a.cert, a.key = a.make(name, time.Now().Add(time.Hour), true)
	return a
}

func (a *authority) make(name string, until time.Time, ca bool) ([]byte, *x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		IsCA: ca, BasicConstraintsValid: true, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	parent, signer := c, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), parsed, key
}

// folder makes what a server or a segment has: a certificate, its key, and the
// CA it trusts.
func (a *authority) folder(name string, until time.Time, trusts *authority) string {
	a.t.Helper()
	cert, _, key := a.make(name, until, false)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	dir := a.t.TempDir()
	for file, data := range map[string][]byte{
		name + ".crt": cert, name + ".key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), "root.crt": trusts.pem,
	} {
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return dir
}

// lines keeps a server's log.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) log(_ Level, _ Where, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, text)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(strings.Join(l.all, "\n"), text)
}

func tlsServer(t *testing.T, conf *tls.Config, log *lines) string {
	t.Helper()
	dir := t.TempDir()
	s := New(Options{Inputs: &FileInputs{Dir: dir}, Outputs: &FileOutputs{Dir: dir}, Log: log.log})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, tls.NewListener(l, conf)) }()
	t.Cleanup(func() { cancel(); <-done })
	return l.Addr().String()
}

// Rows go both ways over TLS; a segment without the right certificate is
// refused, and the log says why.
func TestTLS(t *testing.T) {
	t.Parallel()
	later := time.Now().Add(time.Hour)
	cas, cac, other := newAuthority(t, "server CA"), newAuthority(t, "segment CA"), newAuthority(t, "other CA")
	conf, err := TLS(cas.folder("server", later, cac), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, folder, want, logged string
	}{
		{"right", cac.folder("client", later, cas), "", ""},
		{"expired", cac.folder("client", time.Now().Add(-time.Hour), cas), "expired", "has expired or is not valid yet: renew client.crt"},
		{"other CA", other.folder("client", later, cas), "unknown certificate authority", "is of a CA that is not in root.crt"},
		{"server of another CA", cac.folder("client", later, other), "unknown authority", "refuses this server's certificate"},
	} {
		log := &lines{}
		addr := tlsServer(t, conf, log)
		client, err := ClientTLS(c.folder, true)
		if err != nil {
			t.Fatal(err)
		}
		cl := &Client{TLS: client, Tries: 1}
		s := scanOf(addr, "t", 0)
		s.URL = strings.Replace(s.URL, "gpfdist:", "gpfdists:", 1)
		w, err := cl.Post(t.Context(), s)
		if err == nil {
			if err = w.Send(t.Context(), []byte("1\n")); err == nil {
				err = w.Done(t.Context())
			}
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if c.logged != "" {
			await(t, c.name+": "+c.logged, func() bool { return log.has(c.logged) })
		}
	}
}

func TestTLSProtocol(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "CA")
	folder := ca.folder("server", time.Now().Add(time.Hour), ca)
	open, err := TLS(folder, false)
	if err != nil {
		t.Fatal(err)
	}
	log := &lines{}
	addr := tlsServer(t, open, log)
	dial := func(c *tls.Config) (*tls.Conn, error) {
		c.InsecureSkipVerify = true //nolint:gosec // a test
		return tls.Dial("tcp", addr, c)
	}
	conn, err := dial(&tls.Config{NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if p := conn.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
		t.Errorf("the protocol is %q", p)
	}
	_ = conn.Close()
	if _, err := dial(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is taken")
	}
	if conn, err = dial(&tls.Config{MaxVersion: tls.VersionTLS12}); err != nil {
		t.Errorf("TLS 1.2: %v", err)
	} else {
		_ = conn.Close()
	}
	plain := dialTo(t, addr)
	_, _ = plain.Write([]byte("GET /gpfdist/status HTTP/1.0\r\n\r\n"))
	await(t, "the log to tell of the plain client", func() bool { return log.has("does not speak TLS") })
}

func TestTLSFolder(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "CA")
	for _, c := range []struct{ missing, want string }{
		{"server.crt", "unable to load the certificate from file"},
		{"server.key", "unable to load the private key from file"},
		{"root.crt", "unable to load CA from file"},
	} {
		dir := ca.folder("server", time.Now().Add(time.Hour), ca)
		if err := os.Remove(filepath.Join(dir, c.missing)); err != nil {
			t.Fatal(err)
		}
		if _, err := TLS(dir, true); err == nil || !strings.Contains(err.Error(), c.want) || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", c.missing, err)
		}
	}
	expired, err := TLS(ca.folder("server", time.Now().Add(-time.Hour), ca), true)
	if err != nil {
		t.Fatal(err)
	}
	if w := TLSWarnings(expired, time.Now()); len(w) != 1 || !strings.Contains(w[0], "has expired on") {
		t.Errorf("%q", w)
	}
	dir := ca.folder("server", time.Now().Add(time.Hour), ca)
	if err := os.WriteFile(filepath.Join(dir, "server.key"), []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := TLS(dir, true); err == nil || !strings.Contains(err.Error(), "has a passphrase") {
		t.Error(err)
	}
}
