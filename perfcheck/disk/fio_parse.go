package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cw/perfcheck"
)

// fioReport is what cw reads of fio's json+ output.
type fioReport struct {
	Jobs []fioJob `json:"jobs"`
}

type fioJob struct {
	Name  string  `json:"jobname"`
	Error int     `json:"error"`
	Read  fioSide `json:"read"`
	Write fioSide `json:"write"`
	Sync  struct {
		Latency fioLatency `json:"lat_ns"`
	} `json:"sync"`
}

type fioSide struct {
	Bytes    int64      `json:"io_bytes"`
	Requests int64      `json:"total_ios"`
	Runtime  int64      `json:"runtime"` // ms
	Latency  fioLatency `json:"lat_ns"`
	Complete fioLatency `json:"clat_ns"`
}

type fioLatency struct {
	N    int64            `json:"N"`
	Max  float64          `json:"max"`
	Mean float64          `json:"mean"`
	Bins map[string]int64 `json:"bins"` // ns → requests
}

// parseFio reads the report out of what fio printed: notes may come before
// it, and errors behind it.
func parseFio(out []byte) (fioReport, error) {
	var r fioReport
	i := bytes.IndexByte(out, '{')
	if i < 0 {
		return r, errors.New("it printed no report")
	}
	if err := json.NewDecoder(bytes.NewReader(out[i:])).Decode(&r); err != nil {
		return r, fmt.Errorf("its report makes no sense: %w", err)
	}
	if len(r.Jobs) == 0 {
		return r, errors.New("its report has no jobs")
	}
	return r, nil
}

func (r fioReport) failed() bool {
	for _, j := range r.Jobs {
		if j.Error != 0 {
			return true
		}
	}
	return false
}

// fioError finds what fio says went wrong: on stderr, before its report, or
// as a number in it.
func fioError(r fioReport, stdout, stderr []byte, err error) string {
	before, _, _ := bytes.Cut(stdout, []byte("{"))
	for _, text := range [][]byte{stderr, before} {
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if s, ok := strings.CutPrefix(line, "fio: "); ok && !strings.HasPrefix(s, "note:") {
				return s
			}
		}
		if s := strings.TrimSpace(string(text)); s != "" && err != nil && !strings.Contains(s, "note:") {
			return s
		}
	}
	for _, j := range r.Jobs {
		if j.Error != 0 {
			return syscall.Errno(j.Error).Error()
		}
	}
	if err != nil {
		return err.Error()
	}
	return "it says nothing"
}

// into adds the bins to a histogram, each with a constant on top.
func (l fioLatency) into(h *perfcheck.Histogram, plus time.Duration) error {
	for ns, n := range l.Bins {
		v, err := strconv.ParseInt(ns, 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("fio: a latency of %q", ns)
		}
		h.RecordN(time.Duration(v)+plus, n)
	}
	return nil
}

// measure turns fio's numbers into ours.
func (r fioReport) measure(j Job, dirs int, m *perfcheck.Measurement) error {
	name, unit := j.primary()
	m.Values = map[string]float64{}
	service, reads, writes := perfcheck.NewHistogram(), perfcheck.NewHistogram(), perfcheck.NewHistogram()
	for _, job := range r.Jobs {
		var primary float64
		for _, side := range []fioSide{job.Read, job.Write} {
			if side.Runtime == 0 {
				continue
			}
			d := time.Duration(side.Runtime) * time.Millisecond
			m.Values["throughput"] += perSecond(perfcheck.BytesPerSecond, side.Requests, side.Bytes, d)
			primary += perSecond(unit, side.Requests, side.Bytes, d)
		}
		if name != "throughput" {
			m.Values[name] += primary
		}
		if dirs > 1 {
			m.Values[name+"."+strings.TrimPrefix(job.Name, "d")] += primary
		}
		plus, synced := time.Duration(0), j.Sync == Fsync || j.Sync == Fdatasync
		if synced {
			// fio keeps the write and its sync apart; the write, into the
			// page cache, is the smaller part by far and hardly varies.
			plus = time.Duration(job.Write.Complete.Mean)
			if err := job.Sync.Latency.into(service, plus); err != nil {
				return err
			}
			continue
		}
		for side, h := range map[*fioSide]*perfcheck.Histogram{&job.Read: reads, &job.Write: writes} {
			if err := side.best().into(h, 0); err != nil {
				return err
			}
		}
	}
	if name == "throughput" {
		m.Values["iops"] = m.Values["throughput"] / float64(j.Block)
	}
	service.Merge(reads)
	service.Merge(writes)
	m.Histograms = map[string]*perfcheck.Histogram{"service": service}
	if service.Count() == 0 {
		return errors.New("fio: its report has no latencies: it is older than 3.0, or nothing completed")
	}
	service.Values("service", m.Values)
	if j.Kind == Mixed {
		reads.Values("read", m.Values)
		writes.Values("write", m.Values)
	}
	m.Values["stall_max"] = service.Max() // the longest request: fio does not say when nothing completed
	m.Values["over_100ms"] = float64(service.Above(longRequest))
	m.Values["over_1s"] = float64(service.Above(veryLong))
	return nil
}

// best is the latency with bins: versions differ in which of them has any.
func (s *fioSide) best() fioLatency {
	if len(s.Latency.Bins) > 0 {
		return s.Latency
	}
	return s.Complete
}

// fioSeries adds up fio's logs of all jobs and directions: one line per
// second of each, "time in ms, value, direction, …", KiB/s in those of the
// bandwidth.
func fioSeries(logs, unit string, seconds int) ([]float64, error) {
	kind, factor := "iops", 1.0
	if unit == perfcheck.BytesPerSecond {
		kind, factor = "bw", float64(kib)
	}
	files, err := filepath.Glob(filepath.Join(logs, "log_"+kind+".*.log"))
	if err != nil {
		return nil, err
	}
	sums := make([]float64, seconds)
	last := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read fio's log: %w", err)
		}
		n, err := addFioLog(string(data), factor, sums)
		if err != nil {
			return nil, err
		}
		last = max(last, n)
	}
	return sums[:last], nil
}

// addFioLog adds one log and says how many seconds it covers.
func addFioLog(log string, factor float64, sums []float64) (int, error) {
	last := 0
	for line := range strings.Lines(log) {
		fields := strings.Split(line, ",")
		if len(fields) < 3 {
			return 0, fmt.Errorf("fio's log: no sense in %q", line)
		}
		ms, err1 := strconv.ParseInt(strings.TrimSpace(fields[0]), 10, 64)
		value, err2 := strconv.ParseFloat(strings.TrimSpace(fields[1]), 64)
		if err := errors.Join(err1, err2); err != nil {
			return 0, fmt.Errorf("fio's log: no sense in %q: %w", line, err)
		}
		// A line stands at the end of its second, a little early or late.
		i := int((ms+500)/1000) - 1
		if i >= 0 && i < len(sums) {
			sums[i] += value * factor
			last = max(last, i+1)
		}
	}
	return last, nil
}
