package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"cw/monitor"
)

// errNoTLS is that a server speaks no TLS.
var errNoTLS = errors.New("the server speaks no TLS")

// sslRequest is PostgreSQL's message that asks for TLS (documentation, 55.7).
const sslRequest = 80877103

// Certificates asks a server of PostgreSQL's protocol for its certificates,
// its own first. They are looked at, not trusted.
func Certificates(ctx context.Context, c net.Conn) ([]*x509.Certificate, error) {
	if end, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(end)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	ask := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), sslRequest)
	if _, err := c.Write(ask); err != nil {
		return nil, fmt.Errorf("ask for TLS: %w", err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return nil, fmt.Errorf("ask for TLS: %w", err)
	}
	if answer[0] != 'S' {
		return nil, errNoTLS
	}
	t := tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is shown what the server has, whoever signed it
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("shake hands: %w", err)
	}
	return t.ConnectionState().PeerCertificates, nil
}

// Expiry finds certificates that run out: of a chain the one that does first.
func Expiry(cluster, endpoint string, chain []*x509.Certificate, rules Rules, now time.Time) []monitor.Condition {
	if len(chain) == 0 {
		return nil
	}
	first := chain[0]
	for _, c := range chain {
		if c.NotAfter.Before(first.NotAfter) {
			first = c
		}
	}
	left := first.NotAfter.Sub(now).Seconds()
	if left == 0 {
		left = -1
	}
	severity := rules.judge(monitor.CertExpiry, left)
	if severity == "" {
		return nil
	}
	verb := "runs out"
	if left < 0 {
		verb = "ran out"
	}
	who := "certificate"
	if first.IsCA {
		who = "CA certificate"
	}
	return []monitor.Condition{{
		Rule: monitor.CertExpiry, Severity: severity, Cluster: cluster, Object: endpoint,
		Message: fmt.Sprintf("the %s of cluster %s at %s %s on %s", who, cluster, endpoint, verb, first.NotAfter.UTC().Format("2006-01-02 15:04 UTC")),
		Remedy:  "put a new one in its place, then: cw cluster reload " + cluster,
	}}
}
