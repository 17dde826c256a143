package alert

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cw/loadspec/notify"
	"cw/monitor"
)

// madeCertificate is a certificate for 127.0.0.1 and the file of the authority
// that made it.
func madeCertificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "mail.test"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	type request struct {
		header http.Header
		body   string
	}
	got := make(chan request, 10)
	answers := map[string]int{"/ok": 204, "/fails": 503, "/busy": 429, "/gone": 404, "/moved": 307, "/echo": 500}
	hang := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/hangs" {
			<-hang
			return
		}
		got <- request{r.Header, string(body)}
		w.Header().Set("Location", "/ok")
		w.WriteHeader(answers[r.URL.Path])
		_, _ = io.WriteString(w, "no: "+r.Header.Get("Authorization"))
	})
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	cert, ca := madeCertificate(t)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(hang) })
	hook := func(path string) *monitor.Webhook {
		return &monitor.Webhook{URLFile: secretFile(t, s.URL+path+"?key=s3cret\n"), TokenFile: secretFile(t, "t0ken"), CAFile: ca}
	}
	for _, c := range []struct {
		path, err string
		refused   bool
	}{
		{"/ok", "", false},
		{"/fails", "answered 503", false},
		{"/busy", "answered 429", false},
		{"/gone", "answered 404", true},
		{"/moved", "answered 307", true}, // a token is not carried elsewhere
		{"/echo", "Bearer [redacted]", false},
	} {
		err := Send(t.Context(), monitor.Receiver{Name: "hook", Webhook: hook(c.path)}, nasty())
		var refused *notify.RefusedError
		switch {
		case c.err == "" && err != nil, c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %v", c.path, err)
		case errors.As(err, &refused) != c.refused:
			t.Errorf("%s: refused %v", c.path, !c.refused)
		case err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "t0ken")):
			t.Errorf("%s: a secret is in %v", c.path, err)
		}
		r := <-got
		var n monitor.Notice
		if err := json.Unmarshal([]byte(r.body), &n); err != nil || n.Kind != "AlertNotice" || n.APIVersion != "cw/v1" || n.Alerts[0].Rule != "inspect.x" || n.Alerts[0].Status != monitor.Firing {
			t.Errorf("%s: %v in %s", c.path, err, r.body)
		}
		if r.header.Get("Idempotency-Key") != "cw-0123" || r.header.Get("Authorization") != "Bearer t0ken" || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", c.path, r.header)
		}
	}
	if len(got) > 0 {
		t.Error("a redirect was followed")
	}
	// A document of the receiver's own.
	w := hook("/ok")
	w.JSON = `{"text": {{json .Title}}, "n": {{len .Alerts}}, "body": {{json .Text}}}`
	if err := Send(t.Context(), monitor.Receiver{Webhook: w, Title: `{{.Severity}} "x"`}, nasty()); err != nil {
		t.Error(err)
	}
	var own struct{ Text, Body string }
	if r := <-got; json.Unmarshal([]byte(r.body), &own) != nil || own.Text != `critical "x"` || own.Body != nasty().Text {
		t.Errorf("own document %s", r.body)
	}
	// What does not answer, whose certificate nobody knows, or is not there.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := Send(ctx, monitor.Receiver{Webhook: hook("/hangs")}, nasty()); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("hangs: %v", err)
	}
	_, foreign := madeCertificate(t)
	w = hook("/ok")
	w.CAFile = foreign
	if err := Send(t.Context(), monitor.Receiver{Webhook: w}, nasty()); err == nil || !strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("foreign: %v", err)
	}
	w.InsecureSkipVerify = true
	if err := Send(t.Context(), monitor.Receiver{Webhook: w}, nasty()); err != nil {
		t.Errorf("not verified: %v", err)
	}
	for _, w := range []*monitor.Webhook{
		{URLFile: filepath.Join(t.TempDir(), "none")},
		{URLFile: secretFile(t, " \n")},
		{URLFile: secretFile(t, "ftp://s3cret/")},
		{URL: s.URL, CAFile: secretFile(t, "no PEM")},
		{URL: s.URL, TokenFile: filepath.Join(t.TempDir(), "none")},
	} {
		var refused *notify.RefusedError // a file can be mended: it is tried again
		if err := Send(t.Context(), monitor.Receiver{Webhook: w}, nasty()); err == nil || errors.As(err, &refused) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: %v", w, err)
		}
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := func(ctx context.Context, command string, limit time.Duration) error {
		return Send(ctx, monitor.Receiver{Name: "page", Exec: &monitor.Exec{Command: command, Timeout: limit}}, nasty())
	}
	if err := run(t.Context(), `cat > `+dir+`/in; printf '%s|' "$CW_ALERT_STATUS" "$CW_ALERT_REASON" "$CW_ALERT_SEVERITY" "$CW_ALERT_ID" "$CW_ALERT_COUNT" "$CW_ALERT_CLUSTER" "$CW_ALERT_RULE" "$CW_ALERT_HOST" > `+dir+`/env; printf %s "$CW_ALERT_TEXT" > `+dir+`/text`, time.Minute); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		data, _ := os.ReadFile(filepath.Join(dir, name))
		return string(data)
	}
	if read("env") != "firing|fired|critical|cw-0123|1|dw1|inspect.x||" {
		t.Errorf("environment %q", read("env"))
	}
	if read("text") != strings.TrimRight(nasty().Text, "\n")+"\n" {
		t.Errorf("text %q", read("text"))
	}
	var n monitor.Notice
	if err := json.Unmarshal([]byte(read("in")), &n); err != nil || n.ID != "cw-0123" {
		t.Errorf("standard input %q: %v", read("in"), err)
	}
	var refused *notify.RefusedError
	if err := run(t.Context(), "echo broken >&2; exit 3", time.Minute); err == nil || !strings.Contains(err.Error(), "exit status 3: broken") || errors.As(err, &refused) {
		t.Errorf("fails: %v", err)
	}
	// At its timeout it is gone with what it started.
	err := run(t.Context(), "sleep 1000 & echo $! > "+dir+"/pid; wait", 300*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "not done within 300ms") {
		t.Errorf("hangs: %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(read("pid")))
	if err != nil {
		t.Skip("the machine was too slow for the command to start in its time")
	}
	for until := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil; {
		if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil && strings.Contains(string(stat), ") Z ") {
			break // dead, and not yet buried by whoever does that here
		}
		if time.Now().After(until) {
			t.Fatal("what the command started is still there")
		}
		time.Sleep(10 * time.Millisecond)
	}
	// Long texts and odd bytes reach the command nevertheless.
	big := nasty()
	big.Title = "a\x00b"
	big.Text = strings.Repeat("x", 1<<20)
	if err := Send(t.Context(), monitor.Receiver{Exec: &monitor.Exec{Command: `test "$CW_ALERT_TITLE" = "a b"`, Timeout: time.Minute}}, big); err != nil {
		t.Errorf("a long text: %v", err)
	}
}
