package source

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"cw/loadspec"
	"cw/loadspec/throttle"
	"cw/playground/s3test"
)

// TestBenchStore reads a large object from a store on loopback as a load does,
// beside `s5cmd cat`, in interleaved pairs. CW_BENCH=1 runs it; s5cmd has to be
// in PATH.
func TestBenchStore(t *testing.T) {
	if os.Getenv("CW_BENCH") == "" {
		t.Skip("CW_BENCH=1 runs the benchmark")
	}
	tool, err := exec.LookPath("s5cmd")
	if err != nil {
		t.Skip("s5cmd is not in PATH")
	}
	const size, pairs, goal = 768 << 20, 5, 3.0
	srv := s3test.Start(t, "bucket")
	srv.Put(t, "bucket", "big", random(size, 7))
	set := New([]loadspec.Source{{Locations: []string{"s3://bucket/big"}, Endpoint: srv.Endpoint, PathStyle: true}}, Options{Credentials: srv.Credentials()})
	objects, err := set.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ours := func() float64 {
		began := time.Now()
		body, err := set.Open(t.Context(), objects[0], 0, throttle.New(0, nil))
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{body}, make([]byte, 256<<10))
		if err != nil || n != size {
			t.Fatalf("%d bytes, %v", n, err)
		}
		_ = body.Close()
		return time.Since(began).Seconds()
	}
	theirs := func() float64 {
		cmd := exec.CommandContext(t.Context(), tool, "--endpoint-url", srv.Endpoint, "cat", "s3://bucket/big")
		cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+srv.Access, "AWS_SECRET_ACCESS_KEY="+srv.Secret, "AWS_REGION=us-east-1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		began := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{out}, make([]byte, 256<<10))
		if err != nil || n != size {
			t.Fatalf("s5cmd: %d bytes, %v", n, err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		return time.Since(began).Seconds()
	}
	var a, b []float64
	for i := range pairs + 1 {
		x, y := theirs(), ours()
		if i > 0 {
			a, b = append(a, x), append(b, y)
		}
	}
	slices.Sort(a)
	slices.Sort(b)
	ratio := a[pairs/2] / b[pairs/2]
	fmt.Printf("one object of a store %4d MB  s5cmd cat %.2f s %.0f MB/s   cw %.2f s %.0f MB/s   ratio %.2f (goal %.1f)  all: %.2f cw %.2f\n",
		size/1_000_000, a[pairs/2], size/1e6/a[pairs/2], b[pairs/2], size/1e6/b[pairs/2], ratio, goal, a, b)
	if ratio < goal {
		t.Error("a goal is missed")
	}
}
