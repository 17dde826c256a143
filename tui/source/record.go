package source

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"cw/fault"
)

// Recorder writes every snapshot of another source as a line of JSON and
// passes it on.
type Recorder struct {
	Source
	w     io.Writer
	onErr func(error)
}

// Record makes a recorder. A write that fails ends the recording, not the
// source: onErr, which may be nil, is told.
func Record(src Source, w io.Writer, onErr func(error)) *Recorder {
	return &Recorder{Source: src, w: w, onErr: onErr}
}

// Start implements Source.
func (r *Recorder) Start(ctx context.Context) (<-chan *Snapshot, error) {
	in, err := r.Source.Start(ctx)
	if err != nil {
		return nil, err
	}
	out := make(chan *Snapshot, 1)
	go func() {
		defer close(out)
		w := r.w
		for s := range in {
			if w != nil {
				if err := WriteSnapshot(w, s); err != nil {
					w = nil
					if r.onErr != nil {
						r.onErr(fmt.Errorf("write the recording: %w", err))
					}
				}
			}
			select {
			case <-out: // not taken, and old now
			default:
			}
			out <- s
		}
	}()
	return out, nil
}

// WriteSnapshot writes one line of a recording. Histories are left out: they
// are made again from the figures, and would be most of the file.
func WriteSnapshot(w io.Writer, s *Snapshot) error {
	slim := *s
	slim.Hosts.Items = make([]Host, len(s.Hosts.Items))
	for i, h := range s.Hosts.Items {
		h.CPUHist, h.MemHist, h.DiskHist, h.NetHist = nil, nil, nil, nil
		slim.Hosts.Items[i] = h
	}
	slim.Loads.Items = make([]Load, len(s.Loads.Items))
	for i, l := range s.Loads.Items {
		l.RateHist = nil
		slim.Loads.Items[i] = l
	}
	line, err := json.Marshal(&slim)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// Player shows a recording.
type Player struct {
	r     io.Reader
	speed float64
}

const (
	maxLine = 256 << 20
	maxGap  = 10 * time.Second // between two snapshots: nobody wants to wait for a night
)

// Replay makes a source of a recording, speed times as fast as it was made; 0
// is as fast as it is read. A last line that was cut off is left out.
func Replay(r io.Reader, speed float64) *Player { return &Player{r: r, speed: speed} }

// ReadSnapshots reads a recording and calls fn for each snapshot, until fn
// says no.
func ReadSnapshots(r io.Reader, fn func(*Snapshot) bool) error {
	in := bufio.NewReaderSize(r, 1<<20)
	past := &past{hosts: map[string]Host{}, rates: map[string][]float64{}}
	for n := 1; ; n++ {
		line, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the recording: line %d: %w", n, err)
		}
		whole := err == nil
		if len(line) > 0 {
			s := &Snapshot{}
			if jerr := json.Unmarshal(line, s); jerr != nil {
				if !whole { // it was cut off
					return nil
				}
				return fault.New(fault.Usage, "a recording is made with: cw top --record FILE", "recording: line %d: %w", n, jerr)
			}
			past.restore(s)
			if !fn(s) {
				return nil
			}
		}
		if !whole {
			return nil
		}
	}
}

var errLongLine = fmt.Errorf("more than %d MiB", maxLine>>20)

func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return nil, errLongLine
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// past rebuilds the histories that a recording does not hold.
type past struct {
	hosts map[string]Host
	rates map[string][]float64
}

func (p *past) restore(s *Snapshot) {
	for i := range s.Hosts.Items {
		h := &s.Hosts.Items[i]
		was := p.hosts[h.Name]
		if h.CPUHist == nil {
			h.CPUHist, h.MemHist, h.DiskHist, h.NetHist = was.CPUHist, was.MemHist, was.DiskHist, was.NetHist
			if !h.SampledAt.IsZero() && h.SampledAt.After(was.SampledAt) {
				h.CPUHist, h.MemHist = appendBounded(h.CPUHist, busy(*h)), appendBounded(h.MemHist, memShare(*h))
				h.DiskHist, h.NetHist = appendBounded(h.DiskHist, h.ReadRate+h.WriteRate), appendBounded(h.NetHist, h.RxRate+h.TxRate)
			}
		}
		p.hosts[h.Name] = *h
	}
	for i := range s.Loads.Items {
		l := &s.Loads.Items[i]
		if l.RateHist == nil {
			l.RateHist = p.rates[l.ID]
			if l.FinishedAt.IsZero() {
				l.RateHist = appendBounded(l.RateHist, float64(l.Rate))
			}
		}
		p.rates[l.ID] = l.RateHist
	}
}

// Start implements Source.
func (p *Player) Start(ctx context.Context) (<-chan *Snapshot, error) {
	out := make(chan *Snapshot, 1)
	go func() {
		defer close(out)
		last := &Snapshot{}
		err := ReadSnapshots(p.r, func(s *Snapshot) bool {
			if !last.At.IsZero() && p.speed > 0 {
				gap := time.Duration(float64(min(max(s.At.Sub(last.At), 0), maxGap)) / p.speed)
				select {
				case <-time.After(gap):
				case <-ctx.Done():
					return false
				}
			}
			last = s
			select {
			case out <- s:
				return true
			case <-ctx.Done():
				return false
			}
		})
		if err != nil {
			s := *last
			s.Cluster.Err = err.Error()
			select {
			case out <- &s:
			case <-ctx.Done():
			}
		}
	}()
	return out, nil
}

// Do implements Source: nothing can be done to what is over.
func (p *Player) Do(_ context.Context, a Action) (string, error) {
	switch a.Kind {
	case Refresh, Interval:
		return "", nil
	}
	return "", fault.New(fault.Usage, "look at the cluster itself: cw top NAME", "%s: this is a recording", a.Kind)
}

// Detail implements Source.
func (p *Player) Detail(context.Context, DetailRequest) (Detail, error) {
	return Detail{}, fault.New(fault.Usage, "look at the cluster itself: cw top NAME", "a recording has no details")
}
