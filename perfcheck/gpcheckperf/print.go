package gpcheckperf

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// result is what one host did in a disk or memory test.
type result struct {
	host    string
	mbps    float64
	seconds float64
	bytes   int64
}

// flow is what one direction of a network test carried.
type flow struct {
	from, to string
	mbps     float64
}

const mib = 1 << 20

// round2 rounds as the program that gpcheckperf starts prints: to hundredths.
func round2(v float64) float64 { return float64(int64(v*100+0.5)) / 100 }

// isoformat is Python's datetime.isoformat.
func isoformat(t time.Time) string { return t.Format("2006-01-02T15:04:05.000000") }

// printer writes the lines. Errors of the output end nothing: the measurement
// is worth more than its echo, and a closed pipe is told by its signal.
type printer struct{ w io.Writer }

func (p printer) line(format string, args ...any) { _, _ = fmt.Fprintf(p.w, format+"\n", args...) }

func (p printer) banner(title string) {
	p.line("--------------------\n  %s\n--------------------", title)
}

func (p printer) heading(title string) {
	line := strings.Repeat("-", 20)
	if title == "NETPERF TEST" {
		line = line[1:]
	}
	p.line("\n%s\n--  %s\n%s", line, title, line)
}

// resultHeading begins the results.
func (p printer) resultHeading(now time.Time) {
	line := strings.Repeat("=", 20)
	p.line("\n%s\n==  RESULT %s\n%s", line, isoformat(now), line)
}

// results prints a disk or memory test.
func (p printer) results(title string, of []result, perHost bool) {
	if len(of) == 0 {
		return
	}
	low, high := of[0], of[0]
	var seconds, mbps float64
	var bytes int64
	for _, r := range of {
		seconds += r.seconds
		bytes += r.bytes
		mbps += r.mbps
		if r.mbps < low.mbps {
			low = r
		}
		if r.mbps > high.mbps {
			high = r
		}
	}
	p.line("")
	if seconds > 0 {
		p.line(" %s avg time (sec): %3.2f", title, seconds/float64(len(of)))
	}
	if bytes > 0 {
		p.line(" %s tot bytes: %d", title, bytes)
	}
	p.line(" %s tot bandwidth (MB/s): %3.2f", title, mbps)
	p.line(" %s min bandwidth (MB/s): %3.2f [%s]", title, low.mbps, low.host)
	p.line(" %s max bandwidth (MB/s): %3.2f [%s]", title, high.mbps, high.host)
	if perHost {
		p.line(" -- per host bandwidth --")
		for _, r := range of {
			p.line("    %s bandwidth (MB/s): %3.2f [%s]", title, r.mbps, r.host)
		}
	}
	p.line("")
}

// flows prints a test of neighbours, with a warning for each link below nine
// tenths of the best.
func (p printer) flows(of []flow) {
	p.line("Netperf bisection bandwidth test")
	for _, f := range of {
		p.line("%s -> %s = %f", f.from, f.to, f.mbps)
	}
	best := p.summary(of)
	for _, f := range of {
		if f.mbps < 0.9*best {
			p.line("[Warning] connection between %s and %s is no good", f.from, f.to)
		}
	}
}

// matrix prints a test of everybody with everybody: what each host sent and
// received. hostname names the machine behind a host of the list.
func (p printer) matrix(of []flow, hostname func(string) string, each bool) {
	p.line("Full matrix netperf bandwidth test")
	sent, received := map[string]float64{}, map[string]float64{}
	var senders, receivers []string
	for _, f := range of {
		if _, ok := sent[f.from]; !ok {
			senders = append(senders, f.from)
		}
		sent[f.from] += f.mbps
		to := hostname(f.to)
		if _, ok := received[to]; !ok {
			receivers = append(receivers, to)
		}
		received[to] += f.mbps
	}
	p.line("\nPer host transfer rates")
	for _, h := range senders {
		p.line("%s Tx rate: %.2f", h, sent[h])
	}
	p.line("\nPer host receive rates")
	for _, h := range receivers {
		p.line("%s Rx rate: %.2f", h, received[h])
	}
	p.line("")
	if each {
		for _, f := range of {
			p.line("%s -> %s = %f", f.from, f.to, f.mbps)
		}
	}
	p.summary(of)
}

// summary prints the rates of all flows together and returns the best.
func (p printer) summary(of []flow) (best float64) {
	var rates []float64
	var sum float64
	for _, f := range of {
		rates = append(rates, f.mbps)
		sum += f.mbps
	}
	slices.Sort(rates)
	best = rates[len(rates)-1]
	p.line("\nSummary:")
	p.line("sum = %.2f MB/sec", sum)
	p.line("min = %.2f MB/sec", rates[0])
	p.line("max = %.2f MB/sec", best)
	p.line("avg = %.2f MB/sec", sum/float64(len(rates)))
	p.line("median = %.2f MB/sec\n", rates[len(rates)/2])
	return best
}
