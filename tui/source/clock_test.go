package source

import (
	"context"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestFarClock(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_800_000_000, 0)
	var c farClock
	if o, _ := c.offset(); o != nil {
		t.Error("an offset of nothing")
	}
	c.take(sample{}, at, at) // a host that told no time
	if o, _ := c.offset(); o != nil {
		t.Error("an offset of a host that tells no time")
	}
	// Two seconds ahead, under way for 20 to 50 ms.
	for i := range 40 {
		now := at.Add(time.Duration(i) * time.Second)
		way := 0.05
		if i%10 == 3 {
			way = 0.02
		}
		c.take(sample{date: float64(now.UnixMicro())/1e6 + 2 - way}, at.Add(-80*time.Millisecond), now)
	}
	o, within := c.offset()
	if o == nil || math.Abs(*o-1.98) > 1e-3 || math.Abs(within-0.08) > 1e-6 {
		t.Errorf("offset %v within %g", *o, within)
	}
	// The clock is set: the old readings go.
	for i := range clocksKept {
		now := at.Add(time.Duration(100+i) * time.Second)
		c.take(sample{date: float64(now.Unix()) - 5, coarse: true}, at, now)
	}
	if o, _ := c.offset(); math.Abs(*o+4.5) > 1e-3 {
		t.Errorf("offset %g after it was set", *o)
	}
}

func TestWallClock(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]sample{
		"1800000000.250000000": {date: 1800000000.25}, "1800000000.%N": {date: 1800000000, coarse: true}, "1800000000": {date: 1800000000, coarse: true},
		"": {}, "x": {}, "-5.1": {}, "999999999999999999999.1": {},
	} {
		var s sample
		s.wallClock(text)
		if s.date != want.date || s.coarse != want.coarse && want.date != 0 {
			t.Errorf("%q: %v %v", text, s.date, s.coarse)
		}
	}
}

// The script itself, with a host's clock that is ahead by an hour.
func TestSamplerTellsTheClockAndPorts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "date"), []byte("#!/bin/sh\nPATH=${PATH#*:}\ns=$(date +%s)\necho $((s+3600)).5\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got []sample
	r := &sampleReader{}
	r.emit = func(_ int, s sample) {
		if got = append(got, s); len(got) == 2 {
			cancel()
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", samplerScript, "cw", "1", dir, "/")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	cmd.Stdout, cmd.WaitDelay = r, time.Second
	began := time.Now()
	_ = cmd.Run() // ended by us
	if len(got) < 2 {
		t.Fatalf("%d samples", len(got))
	}
	var c farClock
	c.take(got[0], began, time.Now())
	if o, _ := c.offset(); o == nil || *o < 3590 || *o > 3602 {
		t.Errorf("offset %v", o)
	}
	if port := l.Addr().(*net.TCPAddr).Port; !got[1].listens[port] || got[1].listens[1] || len(got[1].listens) > 60000 {
		t.Errorf("nobody listens on %d: %v", port, got[1].listens)
	}
	if len(got[0].mounts) == 0 {
		t.Error("no file systems: the folders are not read after the interval")
	}
}
