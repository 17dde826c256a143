package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cw/fault"
	"cw/loadspec/fdist"
)

// checkDoc is what a server answered.
type checkDoc struct {
	URL     string  `json:"url"`
	Version string  `json:"version,omitempty"`
	Bytes   int64   `json:"bytes"`
	Rows    string  `json:"first_row,omitempty"`
	Seconds float64 `json:"seconds"`
}

// serveCheck reads the beginning of a file as a segment would.
func (a *App) serveCheck(ctx context.Context, o serveOptions) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	began := time.Now()
	client := &fdist.Client{}
	if o.tlsDir != "" {
		conf, err := fdist.ClientTLS(o.tlsDir, o.verifyPeer)
		if err != nil {
			return err
		}
		client.TLS = conf
	} else if strings.HasPrefix(o.check, "gpfdists://") {
		return usagef("add --tls-dir FOLDER with client.crt, client.key and root.crt, as segments have them", "%s: a gpfdists server wants a certificate", o.check)
	}
	u, err := url.Parse(o.check)
	if err != nil || u.Host == "" || u.Scheme != "gpfdist" && u.Scheme != "gpfdists" {
		return usagef("write it like gpfdist://etl1:8080/folder/*.csv", "%q is no gpfdist URL", o.check)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/gpfdist/status"
	}
	rows, err := client.Get(ctx, &fdist.Scan{URL: u.String(), Proto: 1})
	if err != nil {
		return explainCheck(err)
	}
	defer rows.Close()
	d := checkDoc{URL: o.check}
	buf := make([]byte, 64<<10)
	for {
		n, err := rows.Read(buf)
		if d.Bytes == 0 && n > 0 {
			line, _, _ := strings.Cut(string(buf[:n]), "\n")
			d.Rows = strings.TrimRight(line, "\r")[:min(len(strings.TrimRight(line, "\r")), 200)]
		}
		d.Bytes += int64(n)
		if errors.Is(err, io.EOF) || d.Bytes >= 1<<20 {
			break
		}
		if err != nil {
			return explainCheck(err)
		}
	}
	d.Seconds = time.Since(began).Seconds()
	t := table{cols: cols("URL", "BYTES", "FIRST ROW")}
	t.add(d.URL, strconv.FormatInt(d.Bytes, 10), d.Rows)
	return a.print(object("ServerCheck", d), t)
}

func explainCheck(err error) error {
	var refused *fdist.RefusedError
	if errors.As(err, &refused) {
		return fault.New(fault.Failed, "the server answers; look at the path, and at its log", "%w", err)
	}
	return err
}

// advertised makes sure that segments can reach the server where they are told
// to look for it: as far as this machine can tell.
func (a *App) advertised(ctx context.Context, o serveOptions, serverURL string) error {
	if o.advertise == "" {
		return nil
	}
	host := strings.Trim(o.advertise, "[]")
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return fault.New(fault.Unreachable, "give a name that the segment hosts know, or an address", "--advertise: %w", err)
	}
	for _, addr := range addresses {
		if addr.IP.IsUnspecified() {
			return usagef("give a name or address of this machine", "--advertise: %s is no address that can be reached", addr.IP)
		}
		if addr.IP.IsLoopback() {
			a.warnf("--advertise: %s is %s, which on other hosts means themselves: only segments on this machine can use it", host, addr.IP)
		}
	}
	u, err := url.Parse(serverURL)
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return fault.New(fault.Unreachable, "look at --bind, at the firewall and at what "+host+" means: getent hosts "+host, "--advertise: %s cannot be reached from this machine: %w", u.Host, err)
	}
	defer func() { _ = conn.Close() }()
	if o.tlsDir != "" {
		return nil // a connection is as far as one gets without a client's certificate
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprint(conn, "GET /gpfdist/status HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	answer, _ := io.ReadAll(io.LimitReader(conn, 4<<10))
	if !strings.Contains(string(answer), "X-GPFDIST-VERSION: "+gpfdistVersion()) {
		return fault.New(fault.Unreachable, "see who listens there: curl -i http://"+u.Host+"/gpfdist/status", "--advertise: %s is answered by another program than this server", u.Host)
	}
	return nil
}
