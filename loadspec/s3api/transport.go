package s3api

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"time"

	"cw/fault"
)

// Transport is how a store, or a web server, is spoken to: by the proxy that
// the environment names, and trusting whom the access says.
func Transport(a Access) (*http.Transport, error) {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 64, IdleConnTimeout: 60 * time.Second,
		ResponseHeaderTimeout: a.Stall, TLSHandshakeTimeout: 10 * time.Second,
		DisableCompression: true, // a .gz object is to arrive as it is
		ReadBufferSize:     128 << 10, WriteBufferSize: 128 << 10,
	}
	file := a.CAFile
	if file == "" {
		file = os.Getenv("AWS_CA_BUNDLE")
	}
	if file == "" && a.ServerName == "" {
		return t, nil
	}
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: a.ServerName}
	if file == "" {
		return t, nil
	}
	pem, err := os.ReadFile(file) //nolint:gosec // the control file, or the environment, names it
	if err != nil {
		return nil, fault.New(fault.Usage, "", "CA_FILE: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.Usage, "look at it: openssl x509 -in "+file+" -noout -subject", "CA_FILE %s: has no certificate in it", file)
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}
