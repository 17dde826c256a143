package perfcheck

import (
	"encoding/json"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are kept from 1 ns to an hour with two significant digits: a
// relative error of at most 1 %.
const (
	histogramMax    = int64(time.Hour)
	histogramDigits = 2
)

// Histogram counts latencies. It is not safe for concurrent use: each worker
// has its own and they are merged at the end, so that percentiles never come
// from averaged windows.
type Histogram struct{ h *hdrhistogram.Histogram }

// NewHistogram makes an empty one.
func NewHistogram() *Histogram {
	return &Histogram{hdrhistogram.New(1, histogramMax, histogramDigits)}
}

// Record counts one latency. One above an hour counts as an hour: nothing is
// ever dropped.
func (h *Histogram) Record(d time.Duration) {
	_ = h.h.RecordValue(min(max(int64(d), 1), histogramMax))
}

// RecordN counts one latency n times, as other programs' reports give them.
func (h *Histogram) RecordN(d time.Duration, n int64) {
	_ = h.h.RecordValues(min(max(int64(d), 1), histogramMax), n)
}

// Merge adds the counts of another.
func (h *Histogram) Merge(other *Histogram) { h.h.Merge(other.h) }

// Count is the number of latencies.
func (h *Histogram) Count() int64 { return h.h.TotalCount() }

// Quantile is the latency below which the share q (0 to 1) lies, in seconds;
// 0 of an empty histogram.
func (h *Histogram) Quantile(q float64) float64 {
	return time.Duration(h.h.ValueAtQuantile(q * 100)).Seconds()
}

// Max is the longest latency in seconds.
func (h *Histogram) Max() float64 { return time.Duration(h.h.Max()).Seconds() }

// Mean is the average in seconds.
func (h *Histogram) Mean() float64 { return h.h.Mean() / float64(time.Second) }

// Above is how many were longer than d.
func (h *Histogram) Above(d time.Duration) int64 {
	var n int64
	for _, b := range h.h.Distribution() {
		if b.From > int64(d) {
			n += b.Count
		}
	}
	return n
}

// Values adds the usual numbers of a latency to a measurement's values:
// PREFIX_p50, _p99, _p999, _max and _avg, in seconds.
func (h *Histogram) Values(prefix string, into map[string]float64) {
	into[prefix+"_p50"] = h.Quantile(0.5)
	into[prefix+"_p99"] = h.Quantile(0.99)
	into[prefix+"_p999"] = h.Quantile(0.999)
	into[prefix+"_max"] = h.Max()
	into[prefix+"_avg"] = h.Mean()
}

// histogramJSON is the sparse form: pairs of nanoseconds and counts.
type histogramJSON struct {
	Unit    string     `json:"unit"`
	Count   int64      `json:"count"`
	Buckets [][2]int64 `json:"buckets"`
}

// MarshalJSON writes the buckets that are not empty.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	out := histogramJSON{Unit: "ns", Count: h.Count(), Buckets: [][2]int64{}}
	for _, b := range h.h.Distribution() {
		if b.Count > 0 {
			out.Buckets = append(out.Buckets, [2]int64{b.To, b.Count})
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(data []byte) error {
	var in histogramJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*h = *NewHistogram()
	for _, b := range in.Buckets {
		if err := h.h.RecordValues(min(max(b[0], 1), histogramMax), b[1]); err != nil {
			return err
		}
	}
	return nil
}
