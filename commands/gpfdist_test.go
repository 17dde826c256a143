package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestGpfdistOptions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args, want string // want of stderr or, for codes other than 1, of stdout
		code       int
	}{
		{"-p 0", "Error: please specify a valid port number for -p switch", 1},
		{"-p x", "Error: please specify a valid port number for -p switch", 1},
		{"-p 65536", "Error: please specify a valid port number for -p switch", 1},
		{"-g 2", "Error: please specify 0 or 1 for -g switch (note: this is internal)", 1},
		{"-t 1", "Error: -t timeout must be between 2 and 7200, or 0 for no timeout", 1},
		{"-t 7201", "Error: -t timeout must be between 2 and 7200, or 0 for no timeout", 1},
		{"-w 7201", "Error: -w timeout must be between 1 and 7200, or 0 for no timeout", 1},
		{"-w -1", "Error: -w timeout must be between 1 and 7200, or 0 for no timeout", 1},
		{"-m 32767", "Error: -m max row length must be between 32KB and 256MB", 1},
		{"-m 268435457", "Error: -m max row length must be between 32KB and 256MB", 1},
		{"-z 15", "Error: -z listen queue size must be between 16 and 512 (default is 256)", 1},
		{"-z 513", "Error: -z listen queue size must be between 16 and 512 (default is 256)", 1},
		{"-k 299", "Error: -k timeout must be between 300 and 86400", 1},
		{"-d /", "Security Error:  You cannot specify the root directory (/) as the source files directory.", 1},
		{"-d //", "Security Error:  You cannot specify the root directory (/) as the source files directory.", 1},
		{"-d nowhere", "Error: cannot access directory 'nowhere'\nPlease specify a valid directory for -d switch", 1},
		{"-l /", "Security Error: You cannot specify the root directory (/) as the log file directory.", 1},
		{"-l no/such/file", "unable to create log file", 1},
		{"--ssl nowhere", "Error: cannot access directory 'nowhere'\nPlease specify a valid directory for --ssl switch", 1},
		{"--ssl /", "Security Error: You cannot specify the root directory (/) as the certificates directory", 1},
		{"--ssl_verify_peer maybe", "--ssl_verify_peer must be on or off", 1},
		{"file", "Error: illegal arguments", 1},
		{"-p", "Error: illegal arguments", 1},
		{"-y", "Error: illegal arguments", 1},
		{"--nope", "Error: illegal arguments", 1},
		{"--version=1", "Error: illegal arguments", 1},
		{"-h", "options are gone", 1},
		{"-q", "options are gone", 1},
		{"-x", "options are gone", 1},
		{"--version", "gpfdist version \"", 0},
	} {
		streams, out, errOut := TestStreams("")
		o, err := parseGpfdist(strings.Fields(c.args))
		if err == nil {
			err = o.validate(dir)
		}
		var stop *gpfdistStop
		if !errors.As(err, &stop) {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		code := stop.print(streams)
		text := errOut.String()
		if c.code == 0 {
			text = out.String()
		}
		if code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%s: exit code %d, %q; want %d, %q", c.args, code, text, c.code, c.want)
		}
	}
	streams, _, errOut := TestStreams("")
	if code := gpfdistMain(t.Context(), streams, os.Getenv, []string{"-?"}); code != 0 || !strings.Contains(errOut.String(), "usage: gpfdist") {
		t.Errorf("-?: %d, %s", code, errOut)
	}
}

func TestGpfdistOptionsTaken(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"d", "tls"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	o, err := parseGpfdist(strings.Fields("-vSp8081 -P 8090 -d d/ -l log -t0 -m 65536 -w 5 -k 300 -b 127.0.0.1 -g 1 -z 16 -c t.yml --ssl=tls --compress --multi_thread 4 --ssl_verify_peer off -f a"))
	if err == nil {
		err = o.validate(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	proto := 1
	want := gpfdistOptions{
		port: 8081, lastPort: 8090, dir: dir + "/d", log: dir + "/d/log", timeout: 0, maxLine: 65536, linger: 5, idle: 300, bind: "127.0.0.1",
		proto: &proto, queue: 16, transforms: dir + "/t.yml", ssl: dir + "/tls", compress: true, force: "a", verbose: true, sync: true,
	}
	o.proto, want.proto = nil, nil
	if *o != want {
		t.Errorf("%+v\nwant %+v", *o, want)
	}
	// -p resets -P, as it does in gpfdist.
	if o, err = parseGpfdist(strings.Fields("-P 9000 -p 8000")); err != nil || o.lastPort != 8000 {
		t.Errorf("%+v, %v", o, err)
	}
}

func FuzzGpfdistOptions(f *testing.F) {
	f.Add("-p 8080 -d . --ssl=x -vV")
	f.Fuzz(func(_ *testing.T, s string) { _, _ = parseGpfdist(strings.Split(s, " ")) })
}

// The start-up line is what gpload and others wait for; the log goes to the
// file of -l from there on; a signal ends it with exit code 1.
func TestGpfdistRuns(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	first := taken.Addr().(*net.TCPAddr).Port
	if first > 65000 {
		t.Skip("no room for a range of ports above the one the system gave")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	streams, _, errOut := TestStreams("")
	streams.Out = w
	done := make(chan int, 1)
	go func() {
		done <- gpfdistMain(ctx, streams, func(string) string { return "" }, []string{"-d", dir, "-p", fmt.Sprint(first), "-P", fmt.Sprint(first + 400), "-b", "127.0.0.1", "-l", "log"})
		_ = w.Close()
	}()
	var text bytes.Buffer
	buf := make([]byte, 4096)
	for !strings.Contains(text.String(), "Serving") {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatalf("%v: %s%s", err, text.String(), errOut)
		}
		text.Write(buf[:n])
	}
	line := text.String()[strings.Index(text.String(), "Serving"):]
	var port int
	var folder string
	if _, err := fmt.Sscanf(line, "Serving HTTP on port %d, directory %s\n", &port, &folder); err != nil || folder != dir || port <= first {
		t.Errorf("%q: %v", line, err)
	}
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprint(conn, "GET /gpfdist/status HTTP/1.0\r\n\r\n")
	_, _ = conn.Read(buf)
	_ = conn.Close()
	cancel(ErrInterrupted)
	if code := <-done; code != 1 {
		t.Errorf("exit code %d", code)
	}
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil || !strings.Contains(string(log), "signal 15 received. gpfdist exits") || !strings.Contains(string(log), "requests /gpfdist/status") {
		t.Errorf("%s, %v", log, err)
	}
}
