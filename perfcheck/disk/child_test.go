package disk

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"cw/perfcheck"
)

// childSpec tells the child process what to do: make a set in Dirs, say so,
// then run a job for each line of its input.
type childSpec struct {
	Cgroup string
	Dirs   []string
	Size   int64
	Hang   bool // never end
}

// childSays is one line of the child's output.
type childSays struct {
	Folders     []string               `json:",omitempty"`
	Second      *perfcheck.Second      `json:",omitempty"`
	Measurement *perfcheck.Measurement `json:",omitempty"`
	Error       string                 `json:",omitempty"`
}

const childEnv = "CW_DISK_CHILD"

// TestMain makes the test binary its own child: caps of a cgroup hold for
// processes.
func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		os.Exit(child(context.Background(), spec, os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

func child(ctx context.Context, spec string, in io.Reader, out io.Writer) int {
	var mu sync.Mutex
	enc := json.NewEncoder(out)
	say := func(s childSays) {
		mu.Lock()
		defer mu.Unlock()
		_ = enc.Encode(s)
	}
	var c childSpec
	err := json.Unmarshal([]byte(spec), &c)
	if err == nil && c.Cgroup != "" {
		err = os.WriteFile(filepath.Join(c.Cgroup, "cgroup.procs"), []byte(fmt.Sprint(os.Getpid())), 0)
	}
	var s *Set
	if err == nil {
		s, err = Prepare(ctx, c.Dirs, PrepareOptions{Size: c.Size, Seed: 1, AllowRootDisk: true})
	}
	if err != nil {
		say(childSays{Error: err.Error()})
		return 1
	}
	defer func() { _ = s.Close() }()
	say(childSays{Folders: s.Folders()})
	for lines := bufio.NewScanner(in); lines.Scan() || c.Hang; {
		var j Job
		if err := json.Unmarshal(lines.Bytes(), &j); err != nil {
			say(childSays{Error: err.Error()})
			continue
		}
		m, err := s.Run(ctx, j, func(x perfcheck.Second) { say(childSays{Second: &x}) })
		if err != nil {
			say(childSays{Error: err.Error()})
			continue
		}
		say(childSays{Measurement: &m})
	}
	return 0
}

// process is a child that runs.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	dec     *json.Decoder
	folders []string
}

func startChild(t *testing.T, c childSpec) *process {
	t.Helper()
	spec, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.CommandContext(t.Context(), os.Args[0])}
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(spec))
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.in.Close()
		_ = p.cmd.Wait()
	})
	p.dec = json.NewDecoder(out)
	p.folders = p.next(t).Folders
	return p
}

func (p *process) next(t *testing.T) childSays {
	t.Helper()
	var s childSays
	if err := p.dec.Decode(&s); err != nil {
		t.Fatal("the child says no more:", err)
	}
	if s.Error != "" {
		t.Fatal(s.Error)
	}
	return s
}

// run has the child run a job; on, which may be nil, hears its seconds.
func (p *process) run(t *testing.T, j Job, on func(perfcheck.Second)) perfcheck.Measurement {
	t.Helper()
	data, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.in.Write(append(data, '\n')); err != nil {
		t.Fatal(err)
	}
	for {
		s := p.next(t)
		if s.Second != nil && on != nil {
			on(*s.Second)
		}
		if s.Measurement != nil {
			return *s.Measurement
		}
	}
}

// caps is a cgroup of its own with limits on one disk.
type caps struct {
	path, dev string
	v2        bool
}

// newCaps makes a cgroup that caps the disk below dir, with whichever version
// of cgroups this machine has.
func newCaps(t *testing.T, dir string) *caps {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can cap a disk")
	}
	f, err := Inspect(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Disks) != 1 {
		t.Skipf("%s lies on %d disks: none to be capped", dir, len(f.Disks))
	}
	c := &caps{dev: firstOf("/sys/block/"+f.Disks[0].Name, "dev")}
	root := "/sys/fs/cgroup/blkio"
	if _, err := os.Stat(filepath.Join(root, "blkio.throttle.read_bps_device")); err != nil {
		root, c.v2 = "/sys/fs/cgroup", true
		if !strings.Contains(firstOf(root, "cgroup.subtree_control"), "io") {
			t.Skip("no blkio throttle (cgroup v1) and no io controller (v2) here")
		}
	}
	c.path, err = os.MkdirTemp(root, "cw-disk-test-")
	if err != nil {
		t.Skip("cannot make a cgroup:", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(c.path); err != nil {
			t.Error(err)
		}
	})
	return c
}

// set caps one of rbps, wbps, riops, wiops.
func (c *caps) set(t *testing.T, what string, value int64) {
	t.Helper()
	file, text := "io.max", fmt.Sprintf("%s %s=%d", c.dev, what, value)
	if !c.v2 {
		file = map[string]string{
			"rbps": "blkio.throttle.read_bps_device", "wbps": "blkio.throttle.write_bps_device",
			"riops": "blkio.throttle.read_iops_device", "wiops": "blkio.throttle.write_iops_device",
		}[what]
		text = fmt.Sprintf("%s %d", c.dev, value)
	}
	if err := os.WriteFile(filepath.Join(c.path, file), []byte(text), 0); err != nil {
		t.Fatal(err)
	}
}

// writes is how many the kernel has let through.
func (c *caps) writes(t *testing.T) int64 {
	t.Helper()
	for line := range strings.Lines(firstOf(c.path, "blkio.throttle.io_serviced")) {
		var dev, what string
		var n int64
		if _, err := fmt.Sscan(line, &dev, &what, &n); err == nil && dev == c.dev && what == "Write" {
			return n
		}
	}
	return 0
}
