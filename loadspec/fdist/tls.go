package fdist

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"cw/fault"
)

// The files of a server's certificate folder, gpfdist's names.
const (
	certificateFile = "server.crt"
	keyFile         = "server.key"
	rootFile        = "root.crt"
)

// TLS is what a gpfdists server needs, read from a folder: server.crt with
// its chain, server.key without a passphrase and, to verify segments with,
// root.crt. Segments have to show a certificate unless verifyPeer is false.
//
// Only HTTP/1.1 is offered: in HTTP/2 the names of headers are in lower case,
// which segments do not find.
func TLS(dir string, verifyPeer bool) (*tls.Config, error) {
	path := func(name string) string { return filepath.Join(dir, name) }
	hint := "the folder needs server.crt, server.key and root.crt in PEM: ls -l " + dir
	chain, err := os.ReadFile(path(certificateFile))
	if err != nil {
		return nil, fault.New(fault.Failed, hint, "unable to load the certificate from file %q: %w", path(certificateFile), err)
	}
	key, err := os.ReadFile(path(keyFile))
	if err != nil {
		return nil, fault.New(fault.Failed, hint, "unable to load the private key from file %q: %w", path(keyFile), err)
	}
	if block, _ := pem.Decode(key); block != nil && (block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "") {
		return nil, fault.New(fault.Failed, "take it off: openssl pkey -in "+path(keyFile)+" -out new.key", "the private key %s has a passphrase", path(keyFile))
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fault.New(fault.Failed, hint, "unable to load the certificate and its private key from %q: %w", dir, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{pair}}
	if !verifyPeer {
		return c, nil
	}
	roots, err := os.ReadFile(path(rootFile))
	if err != nil {
		return nil, fault.New(fault.Failed, hint, "unable to load CA from file %q: %w", path(rootFile), err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(roots) {
		return nil, fault.New(fault.Failed, hint, "unable to load CA from file %q: it holds no certificate", path(rootFile))
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	return c, nil
}

// TLSWarnings are reasons for which segments will refuse the server's
// certificate now or soon.
func TLSWarnings(c *tls.Config, now time.Time) []string {
	var found []string
	for _, pair := range c.Certificates {
		for i, der := range pair.Certificate {
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				continue
			}
			what := "the server's certificate"
			if i > 0 {
				what = "the certificate of its CA " + cert.Subject.String()
			}
			switch {
			case now.After(cert.NotAfter):
				found = append(found, fmt.Sprintf("%s has expired on %s: segments refuse it", what, cert.NotAfter.Format(time.RFC3339)))
			case now.Before(cert.NotBefore):
				found = append(found, fmt.Sprintf("%s is valid from %s only: segments refuse it until then (is the clock right?)", what, cert.NotBefore.Format(time.RFC3339)))
			case now.Add(14 * 24 * time.Hour).After(cert.NotAfter):
				found = append(found, fmt.Sprintf("%s expires on %s", what, cert.NotAfter.Format(time.RFC3339)))
			}
		}
	}
	return found
}

// tlsCause says why a TLS handshake failed, in words for the operator; "" for
// errors of another kind.
func tlsCause(err error) string {
	var expired x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	var alert *net.OpError
	switch {
	case errors.As(err, &expired) && expired.Reason == x509.Expired:
		return fmt.Sprintf("the segment's certificate (%s, valid until %s) has expired or is not valid yet: renew client.crt in its gpfdists folder", expired.Cert.Subject, expired.Cert.NotAfter.Format(time.RFC3339))
	case errors.As(err, &unknown):
		return fmt.Sprintf("the segment's certificate is of a CA that is not in %s: %v", rootFile, unknown)
	case errors.As(err, &record):
		return "the client does not speak TLS: this server serves gpfdists://, not gpfdist://"
	case errors.As(err, &alert) && alert.Op == "remote error":
		return "the segment refuses this server's certificate or has none to show: " + alert.Err.Error()
	case err != nil && err.Error() == "tls: client didn't provide a certificate":
		return "the client shows no certificate: client.crt and client.key belong into the gpfdists folder of each segment"
	}
	return ""
}

// ClientTLS is what a segment has in its gpfdists folder: client.crt,
// client.key, and root.crt to verify the server with unless verify is false.
func ClientTLS(dir string, verify bool) (*tls.Config, error) {
	path := func(name string) string { return filepath.Join(dir, name) }
	hint := "the folder needs client.crt, client.key and root.crt in PEM: ls -l " + dir
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, InsecureSkipVerify: !verify} //nolint:gosec // as verify_gpfdists_cert=off does
	pair, err := tls.LoadX509KeyPair(path("client.crt"), path("client.key"))
	if err != nil {
		return nil, fault.New(fault.Failed, hint, "the client's certificate: %w", err)
	}
	// Shown to every server, as segments do; Go would keep one back that is of
	// none of the CAs the server names, and the server could not say why.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	if !verify {
		return c, nil
	}
	roots, err := os.ReadFile(path(rootFile))
	if err != nil {
		return nil, fault.New(fault.Failed, hint, "%w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(roots) {
		return nil, fault.New(fault.Failed, hint, "%s holds no certificate", path(rootFile))
	}
	return c, nil
}
