package net_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/net"
	"cw/playground/lab"
)

// envPeer makes the test binary a host: it does what its input says, in a
// network of its own.
const envPeer = "CW_NET_PEER"

func TestMain(m *testing.M) {
	if os.Getenv(envPeer) != "" {
		os.Exit(peerMain())
	}
	// Most tests wait more than they compute.
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(lab.Main(m))
}

// order is what a host can be asked to do.
type order struct {
	ID     int                `json:"id"`
	Exec   []string           `json:"exec,omitempty"`
	Listen *net.ListenOptions `json:"listen,omitempty"`
	Run    *net.Job           `json:"run,omitempty"`
	Cancel int                `json:"cancel,omitempty"` // the id of a run
	State  bool               `json:"state,omitempty"`
	NICs   bool               `json:"nics,omitempty"`
}

type outcome struct {
	ID          int                    `json:"id"`
	Error       string                 `json:"error,omitempty"`
	Hint        string                 `json:"hint,omitempty"`
	Kind        fault.Kind             `json:"kind,omitempty"`
	Text        string                 `json:"text,omitempty"`
	Port        int                    `json:"port,omitempty"`
	Measurement *perfcheck.Measurement `json:"measurement,omitempty"`
	Seconds     []perfcheck.Second     `json:"seconds,omitempty"`
	Goroutines  int                    `json:"goroutines,omitempty"`
	Files       int                    `json:"files,omitempty"`
	Children    int                    `json:"children,omitempty"`
	NICs        []net.NIC              `json:"nics,omitempty"`
}

func peerMain() int {
	if err := syscall.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		fmt.Fprintln(os.Stderr, "mount /sys:", err)
		return 1
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "lo: %v %s\n", err, out)
		return 1
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	cancels := map[int]context.CancelFunc{}
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			return 0
		}
		ctx, cancel := context.WithCancel(context.Background())
		mu.Lock()
		cancels[o.ID] = cancel
		if o.Cancel != 0 {
			cancels[o.Cancel]()
		}
		mu.Unlock()
		go func() {
			r := o.do(ctx)
			r.ID = o.ID
			mu.Lock()
			defer mu.Unlock()
			_ = out.Encode(r)
		}()
	}
}

func (o *order) do(ctx context.Context) outcome {
	var r outcome
	var err error
	switch {
	case o.Exec != nil:
		var text []byte
		text, err = exec.Command(o.Exec[0], o.Exec[1:]...).CombinedOutput()
		r.Text = string(text)
		if err != nil {
			err = fmt.Errorf("%v: %w: %s", o.Exec, err, text)
		}
	case o.Listen != nil:
		var s *net.Server
		if s, err = net.Listen(ctx, *o.Listen); err == nil {
			r.Port = s.Port()
		}
	case o.Run != nil:
		var m perfcheck.Measurement
		m, err = net.Run(ctx, *o.Run, func(s perfcheck.Second) { r.Seconds = append(r.Seconds, s) })
		r.Measurement = &m
	case o.NICs:
		r.NICs, err = net.Interfaces()
	case o.State:
		r.Goroutines = runtime.NumGoroutine()
		files, _ := os.ReadDir("/proc/self/fd")
		r.Files = len(files)
		tasks, _ := os.ReadDir("/proc/self/task")
		for _, t := range tasks {
			text, _ := os.ReadFile("/proc/self/task/" + t.Name() + "/children")
			r.Children += len(strings.Fields(string(text)))
		}
	}
	if err != nil {
		r.Error, r.Hint, r.Kind = err.Error(), fault.HintOf(err), fault.KindOf(err)
	}
	return r
}

// host is a process in a network of its own.
type host struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser

	mu      sync.Mutex
	next    int
	waiting map[int]chan outcome
	ended   chan struct{}
}

// newHost starts one; the test is skipped where that is not allowed.
func newHost(t testing.TB) *host {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envPeer+"=1", "PATH=/usr/local/sbin:/usr/sbin:/sbin:"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip("no network namespaces here: " + err.Error())
	}
	h := &host{t: t, cmd: cmd, in: in, waiting: map[int]chan outcome{}, ended: make(chan struct{})}
	go func() {
		dec := json.NewDecoder(out)
		for {
			var r outcome
			if dec.Decode(&r) != nil {
				break
			}
			h.mu.Lock()
			wait := h.waiting[r.ID]
			delete(h.waiting, r.ID)
			h.mu.Unlock()
			wait <- r
		}
		_ = cmd.Wait()
		close(h.ended)
	}()
	t.Cleanup(h.off)
	return h
}

// off is the end of the host and of all that runs on it.
func (h *host) off() {
	_ = h.cmd.Process.Kill()
	<-h.ended
}

// ask begins something and returns its id.
func (h *host) ask(o order) (id int, answer chan outcome) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next++
	o.ID = h.next
	answer = make(chan outcome, 1)
	h.waiting[o.ID] = answer
	line, err := json.Marshal(o)
	if err == nil {
		_, err = h.in.Write(append(line, '\n'))
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return o.ID, answer
}

// patience is how long a host may take for something on a busy machine.
const patience = 90 * time.Second

func (h *host) hear(answer chan outcome) outcome {
	h.t.Helper()
	select {
	case r := <-answer:
		return r
	case <-h.ended:
		h.t.Fatal("the host has ended")
	case <-time.After(patience):
		h.t.Fatal("the host does not answer")
	}
	return outcome{}
}

func (h *host) do(o order) outcome {
	h.t.Helper()
	_, answer := h.ask(o)
	return h.hear(answer)
}

// sh runs commands, one a line.
func (h *host) sh(lines string) string {
	h.t.Helper()
	var out strings.Builder
	for line := range strings.Lines(lines) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		r := h.do(order{Exec: words})
		if r.Error != "" {
			h.t.Fatal(r.Error)
		}
		out.WriteString(r.Text)
	}
	return out.String()
}

// cable joins two hosts.
func cable(t testing.TB, a *host, nicA, addrA string, b *host, nicB, addrB string) {
	t.Helper()
	pid := func(h *host) string { return strconv.Itoa(h.cmd.Process.Pid) }
	// The hosts answer when their network is there.
	a.do(order{State: true})
	b.do(order{State: true})
	path, err := exec.LookPath("ip")
	if err != nil {
		path = "/usr/sbin/ip"
	}
	if out, err := exec.Command(path, "link", "add", "name", nicA, "netns", pid(a), "type", "veth", "peer", "name", nicB, "netns", pid(b)).CombinedOutput(); err != nil {
		t.Skipf("no cable: %v %s", err, out)
	}
	a.sh("ip addr add " + addrA + "/24 dev " + nicA + "\n ip link set " + nicA + " up")
	b.sh("ip addr add " + addrB + "/24 dev " + nicB + "\n ip link set " + nicB + " up")
}

// Addresses of a pair of hosts.
const (
	addrA = "10.78.1.1"
	addrB = "10.78.1.2"
)

// pair makes two hosts with a cable; b listens. The job is for a.
func pair(t testing.TB) (a, b *host, job net.Job) {
	t.Helper()
	a, b = newHost(t), newHost(t)
	cable(t, a, "eth0", addrA, b, "eth0", addrB)
	for _, h := range []*host{a, b} {
		// BBR takes a starved CPU for a slow network and fills no bucket then.
		h.do(order{Exec: []string{"sysctl", "-qw", "net.ipv4.tcp_congestion_control=cubic"}}) // or what there is
	}
	r := b.do(order{Listen: &net.ListenOptions{Token: token}})
	if r.Error != "" {
		t.Fatal(r.Error)
	}
	return a, b, net.Job{Target: fmt.Sprint(addrB, ":", r.Port), Token: token, Timing: perfcheck.Timing{Warmup: 300 * time.Millisecond, Duration: 2 * time.Second}}
}

// measure runs a job on the host.
func (h *host) measure(job net.Job) perfcheck.Measurement {
	h.t.Helper()
	r := h.do(order{Run: &job})
	if r.Error != "" {
		h.t.Fatal(r.Error)
	}
	return *r.Measurement
}
