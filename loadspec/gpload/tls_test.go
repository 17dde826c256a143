package gpload

import (
	"os"
	"strings"
	"testing"

	"cw/playground/gptest"
)

func testTLS(t *testing.T, w *world) {
	server, _ := w.g.Certificates(t)
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
	other := gptest.ForeignCertificate(t)
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
