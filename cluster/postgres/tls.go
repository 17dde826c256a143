package postgres

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cw/cluster"
	"cw/cluster/secret"
	"cw/cluster/step"
	"cw/fault"
)

const (
	certLife   = 10 * 365 * 24 * time.Hour // of CA and servers: nobody renews them by hand
	certMargin = 30 * 24 * time.Hour       // a certificate that ends sooner is made anew
	clockSlack = 24 * time.Hour            // hosts whose clock is behind accept a new certificate
)

// authority is the cluster's own CA.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte // of the certificate
}

func (e *Engine) caKeyFile() string { return filepath.Join(e.Dir, "ca.key") }

// loadCA reads the CA; fs.ErrNotExist when there is none yet.
func (e *Engine) loadCA() (*authority, error) {
	certPEM, err := os.ReadFile(e.CAFile())
	if err != nil {
		return nil, err
	}
	keyPEM, err := os.ReadFile(e.caKeyFile())
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("reading the CA in %s: %w", e.Dir, err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("reading the CA in %s: the key cannot sign", e.Dir)
	}
	return &authority{cert: pair.Leaf, key: signer, pem: certPEM}, nil
}

// makeCA makes the CA. The certificate is written last: with it there is a key.
func (e *Engine) makeCA() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "cw CA of cluster " + e.top.Name},
		NotBefore: now.Add(-clockSlack), NotAfter: now.Add(certLife),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return err
	}
	if err := secret.Write(e.caKeyFile(), keyPEM); err != nil {
		return err
	}
	return secret.Write(e.CAFile(), encodeCert(der))
}

// sign makes a key and a certificate for a host: key first, then certificate,
// in one text, which PostgreSQL takes as both of its files. One file cannot be
// half of an old pair and half of a new one.
func (a *authority) sign(h cluster.Host) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: h.Name},
		NotBefore: now.Add(-clockSlack), NotAfter: now.Add(certLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range certNames(h) {
		if ip, err := netip.ParseAddr(name); err == nil {
			template.IPAddresses = append(template.IPAddresses, ip.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	keyPEM, err := encodeKey(key)
	return append(keyPEM, encodeCert(der)...), err
}

// certNames are the names by which clients and standbys may call a host.
func certNames(h cluster.Host) []string {
	names := []string{h.Name, h.Address}
	for _, a := range h.Interconnect {
		if !slices.Contains(names, a) {
			names = append(names, a)
		}
	}
	return names
}

// valid says why a host's file is not what sign would make; "" when it is.
func (a *authority) valid(h cluster.Host, file []byte) string {
	block := findBlock(file, "CERTIFICATE")
	if block == nil {
		return "no certificate"
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "not a certificate"
	}
	if err := cert.CheckSignatureFrom(a.cert); err != nil {
		return "signed by another CA"
	}
	for _, name := range certNames(h) {
		if cert.VerifyHostname(strings.Trim(name, "[]")) != nil {
			return "not for " + name
		}
	}
	if time.Until(cert.NotAfter) < certMargin {
		return "ends " + cert.NotAfter.Format(time.DateOnly)
	}
	return ""
}

func findBlock(data []byte, kind string) *pem.Block {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == kind {
			return block
		}
	}
	return nil
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return big.NewInt(time.Now().UnixNano())
	}
	return n
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// caStep makes the CA on this machine.
func (e *Engine) caStep() step.Step {
	return step.Step{
		ID: "ca", Title: "make the cluster's certificate authority",
		Check: func(context.Context) (step.Observed, error) {
			_, err := e.loadCA()
			if errors.Is(err, fs.ErrNotExist) {
				return step.Observed{Note: "none"}, nil
			}
			return step.Observed{Done: err == nil, Note: e.CAFile()}, err
		},
		Apply: func(context.Context) error { return e.makeCA() },
	}
}

// tlsStep puts key, certificate and CA certificate on a node's host.
func (e *Engine) tlsStep(n cluster.Node) step.Step {
	h, _ := e.top.Host(n.Host)
	s := step.Step{
		ID: "tls@" + n.Host, Host: n.Host, Title: "install the certificate of node " + n.Name(), Needs: []string{"claim@" + n.Host},
		Check: func(ctx context.Context) (step.Observed, error) {
			// Only the public part is read back.
			out, err := e.sh(ctx, n, `if [ -f "$1" ] && [ -f "$2" ]; then sed -n '/BEGIN CERTIFICATE/,$p' "$1"; fi`, tlsFile(n), rootFile(n))
			if err != nil || out == "" {
				return step.Observed{Note: "none"}, ignoreNoUser(err)
			}
			pair, _, err := e.certFiles(h)
			if err != nil {
				return step.Observed{Note: "to be made"}, ignoreMissing(err)
			}
			return pair.look([]byte(out)), nil
		},
		Apply: func(ctx context.Context) error {
			pair, root, err := e.certFiles(h)
			if err != nil {
				return err
			}
			data, err := pair.make()
			if err != nil {
				return err
			}
			if _, err := e.sh(ctx, n, `mkdir -p "$1" && chmod 0700 "$1"`, filepath.Dir(tlsFile(n))); err != nil {
				return err
			}
			if err := e.Fleet.WriteFile(ctx, n.Host, e.top.OSUser, rootFile(n), root, 0o600); err != nil {
				return err
			}
			return e.Fleet.WriteFile(ctx, n.Host, e.top.OSUser, tlsFile(n), data, 0o600)
		},
	}
	if e.top.TLS.Mode == cluster.TLSSelfSigned {
		s.Needs = append(s.Needs, "ca")
	}
	return s
}

// certPair is how a host's certificate is judged and made in a TLS mode.
type certPair struct {
	look func(onHost []byte) step.Observed
	make func() ([]byte, error)
}

// certFiles resolves the TLS mode for a host; root is the CA certificate.
func (e *Engine) certFiles(h cluster.Host) (pair certPair, root []byte, err error) {
	if e.top.TLS.Mode == cluster.TLSSelfSigned {
		ca, err := e.loadCA()
		if err != nil {
			return pair, nil, err
		}
		return certPair{
			look: func(onHost []byte) step.Observed {
				why := ca.valid(h, onHost)
				return step.Observed{Done: why == "", Note: why}
			},
			make: func() ([]byte, error) { return ca.sign(h) },
		}, ca.pem, nil
	}
	read := func(file string) ([]byte, error) {
		data, err := os.ReadFile(strings.ReplaceAll(file, "{host}", h.Name))
		return data, fault.Wrap(fault.Usage, "correct tls.cert_file, tls.key_file and tls.ca_file in the topology", err)
	}
	cert, err1 := read(e.top.TLS.CertFile)
	key, err2 := read(e.top.TLS.KeyFile)
	root = cert
	var err3 error
	if e.top.TLS.CAFile != "" {
		root, err3 = read(e.top.TLS.CAFile)
	}
	if err := errors.Join(err1, err2, err3); err != nil {
		return pair, nil, err
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		return pair, nil, fault.New(fault.Usage, "correct tls.cert_file and tls.key_file", "certificate and key of %s do not fit: %w", h.Name, err)
	}
	return certPair{
		look: func(onHost []byte) step.Observed {
			return step.Observed{Done: bytes.Equal(bytes.TrimSpace(onHost), bytes.TrimSpace(cert)), Note: "another certificate"}
		},
		make: func() ([]byte, error) { return append(append(bytes.TrimSpace(key), '\n'), cert...), nil },
	}, root, nil
}
