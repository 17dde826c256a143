package fdist

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

// TestBench serves the same files with the C gpfdist and with this package,
// by turns, to the same clients, and compares the medians. CW_BENCH=1 turns
// it on; CW_BENCH_MB is the size of the data.
func TestBench(t *testing.T) {
	if os.Getenv("CW_BENCH") != "1" {
		t.Skip("set CW_BENCH=1 to measure")
	}
	program := gpfdistProgram(t)
	dir := t.TempDir()
	benchData(t, dir, envInt("CW_BENCH_MB", 400))
	if err := os.Mkdir(dir+"/out", 0o755); err != nil {
		t.Fatal(err)
	}
	rounds := envInt("CW_BENCH_ROUNDS", 5)
	c := &benchServer{name: "gpfdist", start: func(t *testing.T, port int) *exec.Cmd {
		return exec.Command(program, "-p", strconv.Itoa(port), "-d", dir)
	}}
	own := &benchServer{name: "cw", start: func(t *testing.T, port int) *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^TestServerProcess$", "-test.timeout=0")
		cmd.Env = append(os.Environ(), "CW_FDIST_DIR="+dir, "CW_FDIST_PORT="+strconv.Itoa(port))
		return cmd
	}}
	c.up(t)
	own.up(t)
	for _, client := range benchClients() {
		for _, k := range []benchCase{
			{name: "csv", path: "x.csv", csv: true, clients: 1, core: 2},
			{name: "csv", path: "x.csv", csv: true, clients: 4, box: 2.5, core: 2},
			{name: "text", path: "x.txt", clients: 1, core: 1.4},
			{name: "text", path: "x.txt", clients: 4, box: 2, core: 1.4},
			{name: "gz", path: "x.csv.gz", csv: true, clients: 1, box: 1.1},
			{name: "gz", path: "x.csv.gz", csv: true, clients: 4, box: 1.1},
			{name: "write", path: "out/%s.%d", clients: 1, box: 1.5, drain: feedRows},
			{name: "write", path: "out/%s.%d", clients: 4, box: 1.5, drain: feedRows},
			{name: "4 gz", path: "part*.gz", csv: true, clients: 4},
		} {
			if only := os.Getenv("CW_BENCH_ONLY"); only == "" || strings.Contains(client.name+" "+k.name, only) {
				k.name = client.name + " " + k.name
				if k.drain == nil {
					k.drain = client.drain
				} else if client.name != "own" {
					continue
				}
				k.dir = dir
				k.run(t, c, own, rounds)
			}
		}
	}
}

type benchClient struct {
	name  string
	drain func(context.Context, *Scan) (int64, error)
}

func benchClients() []benchClient {
	clients := []benchClient{{"own", drain}}
	if _, err := exec.LookPath("curl"); err == nil {
		clients = append(clients, benchClient{"curl", curl})
	}
	return clients
}

// TestServerProcess is the server of TestBench, in a process of its own.
func TestServerProcess(t *testing.T) {
	dir := os.Getenv("CW_FDIST_DIR")
	if dir == "" {
		t.Skip("only a part of TestBench")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:"+os.Getenv("CW_FDIST_PORT"))
	if err != nil {
		t.Fatal(err)
	}
	if err := New(Options{Inputs: &FileInputs{Dir: dir}, Outputs: &FileOutputs{Dir: dir}}).Serve(ctx, l); err != nil {
		t.Fatal(err)
	}
}

func gpfdistProgram(t *testing.T) string {
	if home := os.Getenv("CW_TEST_GPHOME"); home != "" {
		return filepath.Join(home, "bin", "gpfdist")
	}
	p, err := exec.LookPath("gpfdist")
	if err != nil {
		t.Skip("no gpfdist in PATH, nor in $CW_TEST_GPHOME/bin")
	}
	return p
}

func envInt(name string, value int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return value
}

// benchData writes rows like those of TPC-H's lineitem: 130 bytes, one in
// five with a quoted comment.
func benchData(t *testing.T, dir string, mb int) {
	csv := createBuffered(t, dir+"/x.csv")
	text := createBuffered(t, dir+"/x.txt")
	gzFile := createBuffered(t, dir+"/x.csv.gz")
	zw, _ := gzip.NewWriterLevel(gzFile, 6)
	var parts [4]*gzip.Writer
	var partFiles [4]*bufio.Writer
	for i := range parts {
		partFiles[i] = createBuffered(t, fmt.Sprintf("%s/part%d.gz", dir, i))
		parts[i], _ = gzip.NewWriterLevel(partFiles[i], 6)
	}
	var line []byte
	words := strings.Fields("furiously regular deposits sleep blithely among the express packages carefully final ideas nag")
	for i, n := 0, 0; n < mb<<20; i++ {
		line = fmt.Appendf(line[:0], "%d,%d,%d,%d,%d,%d.%02d,0.%02d,0.0%d,N,O,1996-%02d-%02d,1996-02-12,1996-03-22,DELIVER IN PERSON,TRUCK,",
			i, i*7919%200000, i*31%10000, i%7+1, i%50, i*13%90000, i%100, i%11, i%9, i%12+1, i%28+1)
		comment := words[i%12] + " " + words[i*5%12] + " " + words[i*7%11]
		if i%5 == 0 {
			comment = `"` + comment + `, ""` + words[i%3] + `"" etc"`
		}
		line = append(append(line, comment...), '\n')
		n += len(line)
		_, _ = csv.Write(line)
		if n < mb<<18 { // compressing is slow
			_, _ = zw.Write(line)
			_, _ = parts[i%4].Write(line)
		}
		_, _ = text.Write(bytes.ReplaceAll(line, []byte(","), []byte("|")))
	}
	for i := range parts {
		_ = parts[i].Close()
		_ = partFiles[i].Flush()
	}
	_ = zw.Close()
	for _, w := range []*bufio.Writer{csv, text, gzFile} {
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
}

func createBuffered(t *testing.T, name string) *bufio.Writer {
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return bufio.NewWriterSize(f, 1<<20)
}

// benchServer is one server process.
type benchServer struct {
	name  string
	start func(t *testing.T, port int) *exec.Cmd
	pid   int
	addr  string
}

func (b *benchServer) up(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(b.addr)
	n, _ := strconv.Atoi(port)
	cmd := b.start(t, n)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b.pid = cmd.Process.Pid
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	waitFor(t, func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// cpu is the seconds of processor that the server has used.
func (b *benchServer) cpu(t *testing.T) float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / 100
}

func (b *benchServer) peak() string {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.pid))
	for line := range strings.SplitSeq(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "?"
}

type benchCase struct {
	name    string
	path    string
	csv     bool
	clients int
	box     float64 // goal: ratio of the rates
	core    float64 // goal: ratio of the rates per server core
	drain   func(context.Context, *Scan) (int64, error)
	dir     string
}

type sample struct{ rate, perCore float64 }

func (k benchCase) run(t *testing.T, c, own *benchServer, rounds int) {
	samples := map[*benchServer][]sample{}
	var bytes [2]int64
	for round := range rounds + 1 {
		for i, b := range []*benchServer{c, own} {
			_ = os.RemoveAll(k.dir + "/out")
			_ = os.Mkdir(k.dir+"/out", 0o755)
			before, start := b.cpu(t), time.Now()
			n := k.scan(t, b, fmt.Sprintf("%d-%d", time.Now().UnixNano(), round))
			took, cpu := time.Since(start).Seconds(), b.cpu(t)-before
			bytes[i] = n
			if round > 0 { // the first warms the cache
				samples[b] = append(samples[b], sample{float64(n) / took / 1e9, float64(n) / cpu / 1e9})
			}
		}
	}
	if d := float64(bytes[0]) / float64(bytes[1]); d < 0.99 || d > 1.01 {
		t.Errorf("%s: %d bytes and %d bytes", k.name, bytes[0], bytes[1])
	}
	median := func(b *benchServer, f func(sample) float64) float64 {
		var v []float64
		for _, s := range samples[b] {
			v = append(v, f(s))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	rate := func(s sample) float64 { return s.rate }
	core := func(s sample) float64 { return s.perCore }
	goal := func(g float64) string {
		if g == 0 {
			return ""
		}
		return fmt.Sprintf(" (goal %.1f)", g)
	}
	t.Logf("%-9s %d clients: GB/s gpfdist %.2f cw %.2f = %.2fx%s; per server core gpfdist %.2f cw %.2f = %.2fx%s; peak memory %s, %s", k.name, k.clients,
		median(c, rate), median(own, rate), median(own, rate)/median(c, rate), goal(k.box),
		median(c, core), median(own, core), median(own, core)/median(c, core), goal(k.core), c.peak(), own.peak())
}

// scan reads the path with all clients and gives the bytes they got.
func (k benchCase) scan(t *testing.T, b *benchServer, xid string) int64 {
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := int64(0)
	for i := range k.clients {
		wg.Go(func() {
			s := Scan{URL: "gpfdist://" + b.addr + "/" + strings.NewReplacer("%s", b.name, "%d", xid).Replace(k.path), XID: xid, CID: "1", SN: "1", Proto: 1, Segment: i, Segments: k.clients, CSV: k.csv, Escape: '\\'}
			if k.csv {
				s.Quote, s.Escape = '"', '"'
			}
			n, err := k.drain(t.Context(), &s)
			mu.Lock()
			defer mu.Unlock()
			total += n
			if err != nil {
				t.Errorf("%s: %v", b.name, err)
			}
		})
	}
	wg.Wait()
	return total
}

// curl reads what a segment gets with curl, as its users would.
func curl(ctx context.Context, s *Scan) (int64, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return 0, err
	}
	args := []string{"-s", "-S", "-o", "/dev/null", "-w", "%{size_download}"}
	for line := range strings.Lines(s.request("GET", u, u.Host, nil)) {
		if name, _, ok := strings.Cut(line, ":"); ok && strings.HasPrefix(name, "X-GP") {
			args = append(args, "-H", strings.TrimSpace(line))
		}
	}
	out, err := exec.CommandContext(ctx, "curl", append(args, "http"+strings.TrimPrefix(s.URL, "gpfdist"))...).Output()
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(out), 10, 64)
}

// feedRows writes what a segment writes: bodies of 64 KB, all segments to one
// file.
func feedRows(ctx context.Context, s *Scan) (int64, error) {
	s.Proto, s.SN = 0, "0"
	w, err := new(Client).Post(ctx, s)
	if err != nil {
		return 0, err
	}
	defer w.Close()
	body := bytes.Repeat([]byte("1,155190,7706,1,17,21168.23,0.04,0.02,N,O,1996-03-13,1996-02-12,1996-03-22,DELIVER IN PERSON,TRUCK,egular courts above\n"), 64_000/117)
	total := int64(0)
	for total < int64(envInt("CW_BENCH_MB", 400))<<18 {
		if err := w.Send(ctx, body); err != nil {
			return total, err
		}
		total += int64(len(body))
	}
	return total, w.Done(ctx)
}

// drain reads what a segment gets as cheaply as can be, and looks only for
// the frame that ends it.
func drain(ctx context.Context, s *Scan) (int64, error) {
	a, err := new(Client).exchange(ctx, s, "GET", nil, nil, nil)
	if err != nil {
		return 0, err
	}
	defer a.close()
	if err := a.refused(s.URL); err != nil {
		return 0, err
	}
	buf := make([]byte, 256<<10)
	total, end := int64(0), []byte(nil)
	for r := io.Reader(a.r); ; {
		n, err := r.Read(buf)
		total += int64(n)
		end = append(end, buf[max(0, n-5):n]...)
		end = append([]byte(nil), end[max(0, len(end)-5):]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return total, err
		}
		if a.r.Buffered() == 0 {
			r = a.conn
		}
	}
	if total > 0 && (len(end) < 5 || end[0] != frameData || binary.BigEndian.Uint32(end[1:]) != 0) {
		return total, ErrCut
	}
	return total, nil
}
