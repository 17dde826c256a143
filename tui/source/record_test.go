package source

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"cw/fault"
)

// scripted is a source of given snapshots.
type scripted struct {
	Source
	snaps []*Snapshot
}

func (s scripted) Start(context.Context) (<-chan *Snapshot, error) {
	out := make(chan *Snapshot, len(s.snaps))
	for _, x := range s.snaps {
		out <- x
	}
	close(out)
	return out, nil
}

// few are snapshots as Live sends them, with histories.
func few() []*Snapshot {
	lag := int64(5)
	var out []*Snapshot
	h := Host{Name: "h1", MemTotal: 100}
	l := Load{ID: "l1", State: "running"}
	for i := range 4 {
		at := time.Date(2026, 11, 21, 10, 0, i, 0, time.UTC)
		h.SampledAt, h.User, h.System, h.MemUsed, h.ReadRate, h.RxRate = at, 0.25*float64(i)/2, 0.125, int64(10*i), float64(i), 7
		h.CPUHist, h.MemHist = appendBounded(h.CPUHist, busy(h)), appendBounded(h.MemHist, memShare(h))
		h.DiskHist, h.NetHist = appendBounded(h.DiskHist, h.ReadRate), appendBounded(h.NetHist, 7)
		l.Rate = int64(1000 * i)
		l.RateHist = appendBounded(l.RateHist, float64(l.Rate))
		s := &Snapshot{At: at, Hosts: Hosts{Items: []Host{h}}, Loads: Loads{Items: []Load{l}}, Nodes: Nodes{Items: []Node{{ID: "n1", LagBytes: &lag}}}}
		s.Sessions.Items = []Session{{PID: 7, Query: "select '\x1b[31m\n'", BlockedBy: []int{8}}}
		out = append(out, s)
	}
	return out
}

func drain(t *testing.T, src Source) (out []*Snapshot) {
	t.Helper()
	c, err := src.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for s := range c {
		out = append(out, s)
	}
	return out
}

func recorded(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	drain(t, Record(scripted{snaps: few()}, &b, func(err error) { t.Error(err) }))
	return b.String()
}

func TestReplayIsWhatWasRecorded(t *testing.T) {
	t.Parallel()
	text := recorded(t)
	if n := strings.Count(text, "\n"); n != 4 || strings.Contains(text, "history") {
		t.Errorf("%d lines:\n%s", n, text)
	}
	for name, in := range map[string]string{
		"whole": text, "cut off in the last line": text + text[:len(text)/8], "without the last newline": strings.TrimSuffix(text, "\n"), "empty lines": strings.ReplaceAll(text, "\n", "\n"),
	} {
		got := drain(t, Replay(strings.NewReader(in), 0))
		if want := few(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d snapshots, the last %+v", name, len(got), got[len(got)-1])
		}
	}
}

func TestReplayKeepsTime(t *testing.T) {
	t.Parallel()
	began := time.Now()
	drain(t, Replay(strings.NewReader(recorded(t)), 20))
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("three seconds at 20x took %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c, err := Replay(strings.NewReader(recorded(t)), 0.001).Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	<-c
	cancel()
	for range c {
		t.Error("it goes on")
	}
}

func TestBrokenRecordingSaysWhere(t *testing.T) {
	t.Parallel()
	lines := strings.SplitAfter(recorded(t), "\n")
	got := drain(t, Replay(strings.NewReader(lines[0]+"{\"at\": 5}\n"+lines[1]), 0))
	if len(got) != 2 || !strings.Contains(got[1].Cluster.Err, "line 2") || len(got[1].Hosts.Items) != 1 {
		t.Errorf("%d snapshots, %+v", len(got), got[len(got)-1].Cluster)
	}
}

func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	p := Replay(strings.NewReader(""), 1)
	for _, k := range []ActionKind{SetLimit, CancelSession, Recover} {
		if _, err := p.Do(t.Context(), Action{Kind: k}); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "recording") {
			t.Errorf("%s: %v", k, err)
		}
	}
	if _, err := p.Do(t.Context(), Action{Kind: Refresh}); err != nil {
		t.Error(err)
	}
}

type fullDisk struct{ room int }

var errFull = errors.New("no space left")

func (f *fullDisk) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestRecordingThatFailsDisturbsNobody(t *testing.T) {
	t.Parallel()
	var said []error
	got := drain(t, Record(scripted{snaps: few()}, &fullDisk{room: 1000}, func(err error) { said = append(said, err) }))
	if len(got) == 0 || got[len(got)-1].At != few()[3].At || len(said) != 1 || !errors.Is(said[0], errFull) {
		t.Errorf("%d snapshots, errors %v", len(got), said)
	}
}

func FuzzReplay(f *testing.F) {
	f.Add([]byte("{\"hosts\":{\"items\":[{\"name\":\"a\"}]}}\n{}\n{"))
	f.Add([]byte("\n\nnull\n[]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		last, whole := 0, bytes.Count(data, []byte("\n"))+1
		_ = ReadSnapshots(bytes.NewReader(data), func(*Snapshot) bool { last++; return true })
		if last > whole {
			t.Errorf("%d snapshots of %d lines", last, whole)
		}
	})
}
