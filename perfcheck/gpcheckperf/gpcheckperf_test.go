package gpcheckperf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cw/perfcheck/run"
	"cw/playground/lab"
	"cw/remote"
	"cw/remote/agent"
)

// TestMain makes the test program an agent when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "agent" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err := errors.Join(run.ServeAgent(ctx, os.Stdin, os.Stdout), agent.RemoveSelf())
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(lab.Main(m))
}

// call runs the program; every host is this machine under another name.
func call(ctx context.Context, t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Run(ctx, Env{
		Out: &o, Err: &e, Argv0: "gpcheckperf", Version: "cw test", Now: time.Now, Memory: 1 << 30, Seed: 1,
		Machine: func(host string) (run.Machine, error) {
			if host == "nobody" {
				return run.Machine{}, errors.New("nobody is at home")
			}
			return run.Machine{Name: host, Address: "127.0.0.1"}, nil
		},
		Hostname: func(m *run.Member) string { return strings.TrimSuffix(m.Name, "-2") },
	}, args)
	return code, o.String(), e.String()
}

// has checks lines by regular expressions, as the behaviour tests of
// Greenplum's tree do.
func has(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(text) {
			t.Errorf("%q is not in\n%s", p, text)
		}
	}
}

// What Greenplum's behaviour tests of gpcheckperf ask for.
func TestBehaviour(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hosts := filepath.Join(t.TempDir(), "hostfile1")
	if err := os.WriteFile(hosts, []byte("# hosts\ncdw\n\nsdw1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	summary := []string{"--  NETPERF TEST", "Summary:", "sum =", "min =", "max =", "avg =", "median ="}
	for name, c := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"disk and memory": {[]string{"-h", "cdw", "-h", "sdw1", "-d", dir + "/", "-r", "ds", "-S", "8MB"}, 0, []string{
			"--  DISK WRITE TEST\n", "--  DISK READ TEST\n", "--  STREAM TEST\n", `(?m)^ disk write tot bytes: 16777216$`, `(?m)^ disk read avg time \(sec\): \d+\.\d\d$`,
			`(?m)^ disk write min bandwidth \(MB/s\): \d+\.\d\d \[(cdw|sdw1)\]$`, `(?m)^ stream max bandwidth \(MB/s\): \d+\.\d\d \[(cdw|sdw1)\]$`,
		}},
		"sequential network": {[]string{"-h", "cdw", "-h", "sdw1", "-d", dir, "-r", "n", "--duration", "1"}, 0, append(summary, "avg = ", `(?m)^cdw -> sdw1 = \d+\.\d{6}$`, `(?m)^sdw1 -> cdw = \d+\.\d{6}$`)},
		"warning of -S":      {[]string{"-h", "localhost", "-r", "d", "-d", dir, "-S", "4MB"}, 0, []string{`\[Warning\] Using 4194304 bytes for disk performance test. This might take some time`}},
		"wrong -S":           {[]string{"-h", "localhost", "-r", "d", "-d", dir, "-S", "abc"}, 1, nil},
		"parallel, file":     {[]string{"-f", hosts, "-r", "N", "-d", dir, "--duration=1s"}, 0, append(summary, "Netperf bisection bandwidth test")},
		"matrix, file":       {[]string{"-f", hosts, "-r", "M", "-d", dir, "--duration=1s"}, 0, append(summary, "Full matrix netperf bandwidth test", `(?m)^cdw Tx rate: \d+\.\d\d$`, `(?m)^sdw1 Rx rate: \d+\.\d\d$`)},
		"verbose": {[]string{"-f", hosts, "-r", "N", "-d", dir, "--duration=1s", "-v"}, 0, append(summary,
			"making gpcheckperf directory on all hosts ...", "[Info].*gpssh -f .*hostfile1 .*gpnetbenchClient.", "[Info].*gpssh -f .*hostfile1 .*gpnetbenchServer.", "==  RESULT*", "TEARDOWN", "SETUP")},
		"extra verbose, matrix": {[]string{"-f", hosts, "-r", "M", "-d", dir, "--duration=1s", "-V"}, 0, append(summary,
			"[Info].*gpssh -v -f .*hostfile1 .*gpnetbenchClient.", "[Info].*gpssh -v -f .*hostfile1 .*gpnetbenchServer.", "==  RESULT*", "TEARDOWN", `(?m)^sdw1 -> cdw = \d`)},
		"single host, matrix":  {[]string{"-h", "cdw", "-r", "M", "-d", dir, "--duration=10s", "-v"}, 0, []string{"--  NETPERF TEST", "single host only - abandon netperf test", "TEARDOWN"}},
		"single host, network": {[]string{"-h", "cdw", "-r", "N", "-d", dir, "--duration=10s", "-v"}, 0, []string{"--  NETPERF TEST", "single host only - abandon netperf test", "TEARDOWN"}},
		"three hosts":          {[]string{"-h", "a", "-h", "b", "-h", "c", "-r", "N", "-d", dir, "--duration=1"}, 0, []string{`(?m)^a -> b = `, `(?m)^b -> a = `, `(?m)^c -> a = `, `(?m)^a -> c = `}},
		"per host": {[]string{"-h", "cdw", "-h", "sdw1", "-d", dir, "-r", "d", "-S", "4MB", "-D"}, 0, []string{
			" -- per host bandwidth --", `(?m)^    disk write bandwidth \(MB/s\): \d+\.\d\d \[cdw\]$`, `(?m)^    disk read bandwidth \(MB/s\): \d+\.\d\d \[sdw1\]$`,
		}},
		"two directories":        {[]string{"-h", "cdw", "-d", dir, "-d", t.TempDir(), "-r", "d", "-S", "8MB", "-B", "1MB"}, 0, []string{"Using 8388608 bytes", "disk write tot bytes: 8388608"}},
		"one machine, two names": {[]string{"-h", "sdw1", "-h", "sdw1-2", "-d", dir, "-r", "d", "-S", "4MB", "-D"}, 0, []string{"disk write tot bytes: 4194304\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := call(t.Context(), t, c.args...)
			if code != c.code {
				t.Fatalf("exit code %d, want %d\n%s%s", code, c.code, out, errOut)
			}
			has(t, out, c.want...)
			if strings.Contains(out, "deprecated") {
				t.Error("something is deprecated")
			}
			if c.code == 0 && !strings.HasPrefix(out, "gpcheckperf "+c.args[0]) {
				t.Errorf("the command line is not first:\n%s", out)
			}
		})
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for line, c := range map[string]struct {
		code int
		want string
	}{
		"-h a -r n":                         {1, "Error: please specify at least one segdir (-d switch)"},
		"-d /x":                             {1, "Error: please specify at least one of -h or -f args, but not both"},
		"-d /x -h a -f b":                   {1, "Error: please specify at least one of -h or -f args, but not both"},
		"-d /x -h a -r nN":                  {1, "Error: please specify only one network test at a time"},
		"-d /x -h a -B 2MB":                 {1, "Error: maximum size for -B parameter is 1MB"},
		"-d /x -h a -S -1":                  {1, "Error: please enter valid memory sizes"},
		"-d /x -h a -S 1TB":                 {1, "Error: "},
		"-d /x -h a -x":                     {1, "Error: option -x is unknown"},
		"-d /x -h":                          {1, "Error: option -h requires argument"},
		"-d /x -h a --durations 3":          {1, "Error: option --durations is unknown"},
		"-d /x -h a --duration":             {1, "Error: option --duration requires argument"},
		"-d /x -h a --netperf=1":            {1, "Error: option --netperf must not have an argument"},
		"-d /x -h a --duration=x":           {255, "exception: "},
		"-d /x -f /nowhere/hosts":           {1, "[Error] cannot read the host file"},
		"-d /x -h nobody -r d -S 1MB":       {1, "nobody is at home"},
		"-d /nowhere/at/all -h a -r d -S 8": {1, "/nowhere/at/all does not exist"},
		"-?":                                {0, "Usage:"},
		"--version -d":                      {1, "Error: option -d requires argument"},
		"--version":                         {0, "gpcheckperf version cw test"},
	} {
		code, out, errOut := call(t.Context(), t, strings.Fields(line)...)
		if code != c.code || !strings.Contains(out+errOut, c.want) {
			t.Errorf("%s: %d %s%s", line, code, out, errOut)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-d", "/a/", "-d/b", "-h", "x", "-vD", "-B8k", "-S", "1gb", "--dur=2m", "--netp"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.dirs, []string{"/a", "/b"}) || o.block != 8<<10 || o.size != 1<<29 || o.duration != 120 || !o.verbose || !o.perHost || !o.netperf || !o.disk || !o.stream || o.net != parallel {
		t.Errorf("%+v", o)
	}
	if o, err := parse([]string{"-d", "/", "-h", "x", "--duration", "0"}, ""); err != nil || o.duration != 15 || o.durationOK || o.block != 32<<10 || o.dirs[0] != "/" {
		t.Errorf("%+v %v", o, err)
	}
	for in, want := range map[string]int64{"15": 15, "15s": 15, "2M": 120, "1h": 3600, "1d": 86400} {
		if got, err := parseDuration(in); err != nil || got != want {
			t.Errorf("%s: %d %v", in, got, err)
		}
	}
	for in, want := range map[string]int64{"32KB": 32 << 10, "32k": 32 << 10, "1 MB": 1 << 20, "500MB": 500 << 20, "16g": 16 << 30, "4096": 4096, "0": 0} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("%s: %d %v", in, got, err)
		}
	}
}

// The public example of a 32-host network with two bad links has this shape:
// all links about alike, one direction at a quarter, another at seven tenths.
func TestLinksThatAreNoGood(t *testing.T) {
	t.Parallel()
	var flows []flow
	for i := range 8 {
		flows = append(flows, flow{fmt.Sprintf("sdw%d", i), fmt.Sprintf("sdw%d", i^1), 1100 + float64(i)})
	}
	flows[2].mbps, flows[5].mbps = 270.5, 760.25
	var b bytes.Buffer
	printer{&b}.flows(flows)
	want := `Netperf bisection bandwidth test
sdw0 -> sdw1 = 1100.000000
sdw1 -> sdw0 = 1101.000000
sdw2 -> sdw3 = 270.500000
sdw3 -> sdw2 = 1103.000000
sdw4 -> sdw5 = 1104.000000
sdw5 -> sdw4 = 760.250000
sdw6 -> sdw7 = 1106.000000
sdw7 -> sdw6 = 1107.000000

Summary:
sum = 7651.75 MB/sec
min = 270.50 MB/sec
max = 1107.00 MB/sec
avg = 956.47 MB/sec
median = 1103.00 MB/sec

[Warning] connection between sdw2 and sdw3 is no good
[Warning] connection between sdw5 and sdw4 is no good
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestResults(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	p := printer{&b}
	p.heading("DISK WRITE TEST")
	p.heading("NETPERF TEST")
	p.resultHeading(time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC))
	p.results("disk write", []result{{"sdw1", 1311.1, 51.29, 67504177152}, {"sdw2", 1236.5, 54.1, 67504177152}}, true)
	p.results("stream", []result{{host: "sdw1", mbps: 12000}}, false)
	p.results("nothing", nil, true)
	want := `
--------------------
--  DISK WRITE TEST
--------------------

-------------------
--  NETPERF TEST
-------------------

====================
==  RESULT 2026-01-02T03:04:05.678901
====================

 disk write avg time (sec): 52.70
 disk write tot bytes: 135008354304
 disk write tot bandwidth (MB/s): 2547.60
 disk write min bandwidth (MB/s): 1236.50 [sdw2]
 disk write max bandwidth (MB/s): 1311.10 [sdw1]
 -- per host bandwidth --
    disk write bandwidth (MB/s): 1311.10 [sdw1]
    disk write bandwidth (MB/s): 1236.50 [sdw2]


 stream tot bandwidth (MB/s): 12000.00
 stream min bandwidth (MB/s): 12000.00 [sdw1]
 stream max bandwidth (MB/s): 12000.00 [sdw1]

`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(700*time.Millisecond, cancel)
	code, out, _ := call(ctx, t, "-h", "a", "-h", "b", "-d", dir, "-r", "n", "--duration", "1h")
	if code != interrupted || !strings.Contains(out, "[Abort] Keyboard Interrupt ...") {
		t.Errorf("%d %s", code, out)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// On hosts of their own, over SSH.
func TestInALaboratory(t *testing.T) {
	t.Parallel()
	l := lab.Up(t, 3)
	pool := remote.NewPool(remote.Options{KnownHosts: filepath.Join(t.TempDir(), "known_hosts")})
	t.Cleanup(pool.Close)
	var out, errOut bytes.Buffer
	args := []string{"-d", "/tmp", "-r", "dM", "-S", "8MB", "--duration", "1", "-v"}
	for _, h := range l.Hosts {
		args = append(args, "-h", h.Name)
	}
	code := Run(t.Context(), Env{
		Out: &out, Err: &errOut, Argv0: "gpcheckperf", Now: time.Now, Memory: 1 << 30,
		Machine: func(name string) (run.Machine, error) {
			for _, h := range l.Hosts {
				if h.Name == name {
					return run.Machine{Name: name, Address: h.Addr, Host: pool.Host(remote.Target{Name: name, Address: h.Addr, Port: h.Port, User: lab.User, IdentityFile: l.Key})}, nil
				}
			}
			return run.Machine{}, errors.New("no such host")
		},
	}, args)
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out.String(), errOut.String())
	}
	has(t, out.String(), `disk write tot bytes: 25165824`, "Full matrix netperf bandwidth test")
	if n := len(regexp.MustCompile(`(?m)^db\d -> db\d = `).FindAllString(out.String(), -1)); n != 6 {
		t.Errorf("%d flows of 6\n%s", n, out.String())
	}
}

func FuzzParse(f *testing.F) {
	f.Add("-d /x -h a -r dsN -S 1GB")
	f.Add("-?vVDd:r:B:S:p:h:f: --dur=1 --")
	f.Fuzz(func(t *testing.T, line string) {
		o, err := parse(strings.Fields(line), "v")
		var s *stop
		switch {
		case err != nil && (!errors.As(err, &s) || s.out+s.err == ""):
			t.Errorf("%q: %v", line, err)
		case err == nil && (len(o.dirs) == 0 || o.block <= 0 || o.size < 0 || o.duration <= 0):
			t.Errorf("%q: %+v", line, o)
		}
	})
}
