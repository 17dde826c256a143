package net

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"cw/fault"
	"cw/perfcheck"
)

type iperf3Sum struct {
	Bits        float64 `json:"bits_per_second"`
	Retransmits float64 `json:"retransmits"`
	Jitter      float64 `json:"jitter_ms"`
	Lost        float64 `json:"lost_packets"`
	Packets     float64 `json:"packets"`
	Omitted     bool    `json:"omitted"`
}

type iperf3Report struct {
	Error     string `json:"error"`
	Intervals []struct {
		Sum iperf3Sum `json:"sum"`
	} `json:"intervals"`
	End struct {
		Sum          iperf3Sum  `json:"sum"`
		Sent         iperf3Sum  `json:"sum_sent"`
		Received     *iperf3Sum `json:"sum_received"`
		SentBack     iperf3Sum  `json:"sum_sent_bidir_reverse"`
		ReceivedBack *iperf3Sum `json:"sum_received_bidir_reverse"`
	} `json:"end"`
}

// parseIperf3 reads the report of iperf3 -J. The exit status says nothing:
// some versions end with 0 after an error, which is only in the report; and
// warnings may come before it.
func parseIperf3(out []byte, j *Job) (perfcheck.Measurement, error) {
	m := perfcheck.Measurement{Values: map[string]float64{}, Flags: []string{perfcheck.FlagExternal}}
	begin := bytes.IndexByte(out, '{')
	if begin < 0 {
		return m, fmt.Errorf("no report, it says %q", strings.TrimSpace(string(out[:min(len(out), 200)])))
	}
	var r iperf3Report
	if err := json.NewDecoder(bytes.NewReader(out[begin:])).Decode(&r); err != nil {
		return m, fmt.Errorf("read the report: %w", err)
	}
	if r.Error != "" {
		hint := ""
		if strings.Contains(r.Error, "busy") {
			hint = "another iperf3 uses the server, try again"
		}
		return m, fault.New(fault.Failed, hint, "%s", r.Error)
	}
	var values []float64
	for _, i := range r.Intervals {
		if !i.Sum.Omitted {
			values = append(values, i.Sum.Bits/8)
		}
	}
	m.Series = []perfcheck.Series{series("throughput", perfcheck.BytesPerSecond, values)}
	if j.Kind == UDP {
		return m, r.udp(j, &m)
	}
	return m, r.tcp(j, &m)
}

func (r *iperf3Report) tcp(j *Job, m *perfcheck.Measurement) error {
	if r.End.Received == nil {
		return errors.New("the report has no sum of what was received")
	}
	m.Values["throughput"] = r.End.Received.Bits / 8
	m.Values["retransmits"] = r.End.Sent.Retransmits
	if j.Bidir {
		if r.End.ReceivedBack == nil {
			return errors.New("the report has no sum of the way back")
		}
		there, back := r.End.Received.Bits/8, r.End.ReceivedBack.Bits/8
		m.Values["throughput_there"], m.Values["throughput_back"] = there, back
		m.Values["throughput"] = there + back
		m.Values["retransmits"] += r.End.SentBack.Retransmits
		m.Series[0].Name = "throughput_there"
	}
	if !(m.Values["throughput"] > 0) {
		return errors.New("it reports no bytes")
	}
	return nil
}

func (r *iperf3Report) udp(j *Job, m *perfcheck.Measurement) error {
	s := r.End.Sum
	if !(s.Packets > 0) {
		return errors.New("it reports no packets")
	}
	m.Values["loss"], m.Values["lost"] = s.Lost/s.Packets, s.Lost
	m.Values["jitter"] = s.Jitter / 1000
	// The sum counts what was sent.
	m.Values["throughput"] = s.Bits / 8 * (1 - s.Lost/s.Packets)
	if j.Rate > 0 {
		m.Values["target"], m.Values["achieved"] = j.Rate, s.Bits/8/j.Rate
		if s.Bits/8 < rateKept*j.Rate {
			m.Flags = append(m.Flags, perfcheck.FlagRateMissed)
		}
	}
	return nil
}
