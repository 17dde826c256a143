package net

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cw/fault"
	"cw/perfcheck"
)

// TestTracker compares with a map on streams that are shuffled, doubled and
// have holes.
func TestTracker(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		var stream []uint64
		for seq := range uint64(2000) {
			switch r.IntN(20) {
			case 0: // lost
			case 1:
				stream = append(stream, seq, seq)
			default:
				stream = append(stream, seq)
			}
		}
		for range 100 { // some are late
			i := r.IntN(len(stream) - 50)
			k := i + r.IntN(50)
			stream[i], stream[k] = stream[k], stream[i]
		}
		var tr tracker
		seen := map[uint64]bool{}
		var late, again int64
		highest := int64(-1)
		for _, seq := range stream {
			isNew := tr.add(seq)
			if isNew == seen[seq] {
				t.Fatalf("%d is new: %t", seq, isNew)
			}
			switch {
			case seen[seq]:
				again++
			case int64(seq) < highest:
				late++
			}
			seen[seq] = true
			highest = max(highest, int64(seq))
		}
		if tr.received != int64(len(seen)) || tr.reordered != late || tr.duplicate != again {
			t.Fatalf("%d %d %d, want %d %d %d", tr.received, tr.reordered, tr.duplicate, len(seen), late, again)
		}
	}
	var tr tracker
	for _, seq := range []uint64{0, 5 * window, 5*window + 1, 1, 5 * window} {
		tr.add(seq)
	}
	if tr.received != 4 || tr.reordered != 1 || tr.duplicate != 1 {
		t.Errorf("across the window: %+v %d %d", tr.received, tr.reordered, tr.duplicate)
	}
}

func TestJitter(t *testing.T) {
	t.Parallel()
	var even, odd jitter
	for i := range int64(1000) {
		even.add(i*1000, i*1000+77)
		odd.add(i*1000, i*1000+(i%2)*160)
	}
	if even.value != 0 {
		t.Errorf("without variation: %g", even.value)
	}
	if math.Abs(odd.value-160) > 1 { // every difference is 160
		t.Errorf("alternating by 160: %g", odd.value)
	}
}

func TestPacer(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	for _, rate := range []float64{1, 50, 1000, 33333, 1e6} {
		p := pacer{rate: rate, start: start, last: start}
		now := start
		for now.Sub(start) < 10*time.Second {
			for p.due(now, batchSize) == batchSize {
				continue
			}
			now = now.Add(p.wait(now))
		}
		if got := float64(p.sent) / 10; math.Abs(got-rate) > max(0.005*rate, 0.2) {
			t.Errorf("%g per second in the place of %g", got, rate)
		}
	}
	// After a gap of a second nothing comes in one go.
	p := pacer{rate: 10000, start: start, last: start.Add(time.Second)}
	p.sent = 10000 // up to here all is well
	if n := p.due(start.Add(2*time.Second), 1e6); n > 30 || n < 20 {
		t.Errorf("%d packets at once after a gap", n)
	}
	unlimited := pacer{}
	if n := unlimited.due(start, 64); n != 64 {
		t.Errorf("unpaced: %d", n)
	}
}

func TestSearchRate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name              string
		sender, carries   float64
		base              float64 // loss at any rate
		want              float64
		fails, fromSender bool
	}{
		{"the network is the limit", 1e6, 3e5, 0, 3e5, false, false},
		{"far below the sender", 1e6, 5e3, 0, 5e3, false, false},
		{"the sender is the limit", 2e5, 1e9, 0, 2e5, false, true},
		{"a lossy line", 1e6, 1e9, 0.01, 0, true, false},
	} {
		steps := 0
		best, first, err := searchRate(9, ppsLoss, func(rate float64) (step, error) {
			steps++
			s := step{target: rate, sent: min(rate, c.sender)}
			if rate == 0 {
				s.sent = c.sender
			}
			s.received = min(s.sent, c.carries) * (1 - c.base)
			s.loss = 1 - s.received/s.sent
			return s, nil
		})
		if steps != 9 {
			t.Errorf("%s: %d steps", c.name, steps)
		}
		if (err != nil) != c.fails {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.fails && (best.received > c.want*1.001 || best.received < 0.94*c.want || best.loss >= ppsLoss) {
			t.Errorf("%s: %+v", c.name, best)
		}
		if first.sent != c.sender || (best.target == 0) != (c.fromSender || c.fails) {
			t.Errorf("%s: first %+v best %+v", c.name, first, best)
		}
	}
	broken := errors.New("broken")
	if _, _, err := searchRate(5, ppsLoss, func(float64) (step, error) { return step{}, broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestLargest(t *testing.T) {
	t.Parallel()
	for limit := 32; limit <= 9000; limit += 7 {
		tries := 0
		got, err := largest(32, 8972, func(size int) (bool, error) { tries++; return size <= limit, nil })
		if err != nil || got != min(limit, 8972) || tries > 16 {
			t.Fatalf("limit %d: %d in %d tries, %v", limit, got, tries, err)
		}
	}
}

func TestFragments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ payload, mtu, header, want int }{
		{8192, 1500, 20, 6}, {8192, 9000, 20, 1}, {1472, 1500, 20, 1}, {1473, 1500, 20, 2}, {8192, 1400, 20, 6}, {8192, 1500, 40, 6}, {1452, 1500, 40, 1},
	} {
		if got := fragments(c.payload, c.mtu, c.header); got != c.want {
			t.Errorf("%v: %d", c, got)
		}
	}
}

func TestCounters(t *testing.T) {
	t.Parallel()
	snmp := "Ip: Forwarding ReasmFails\nIp: 2 17\nUdp: InDatagrams RcvbufErrors InErrors\nUdp: 5 42 7\nUdpLite: RcvbufErrors\nUdpLite: 9\n"
	if v, ok := tableValue(snmp, "Udp", "RcvbufErrors"); v != 42 || !ok {
		t.Error(v, ok)
	}
	if v, _ := tableValue(snmp, "Ip", "ReasmFails"); v != 17 {
		t.Error(v)
	}
	if _, ok := tableValue(snmp, "Tcp", "RetransSegs"); ok {
		t.Error("a value that is not there")
	}
	if v := softnetDrops("0000272d 00000010 00000001\n000034d9 00000001 0\n\nbad\n"); v != 17 {
		t.Error(v)
	}
	dev := "Inter-|   Receive\n face |bytes\n    lo: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n  eth0:12345 1 0 0 0 0 0 0 67890 2 0 0 0 0 0 0\n"
	if r, s, ok := deviceBytes(dev, "eth0"); r != 12345 || s != 67890 || !ok {
		t.Error(r, s, ok)
	}
	if _, _, ok := deviceBytes(dev, "eth1"); ok {
		t.Error("an interface that is not there")
	}
}

// TestWrongNIC also with the numbers of both directions.
func TestWrongNIC(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		h     half
		bytes float64
		want  bool
	}{
		{half{NIC: "eth0", NICBytes: 1050}, 1000, false}, {half{NIC: "eth0", NICBytes: 10}, 1000, true}, {half{}, 1000, false}, {half{NIC: "lo"}, 1000, false},
	} {
		if got := wrongNIC(c.h, c.bytes); got != c.want {
			t.Errorf("%+v: %t", c.h, got)
		}
	}
}

func TestParseIperf3(t *testing.T) {
	t.Parallel()
	const tcp = `{"intervals":[{"sum":{"bits_per_second":800,"omitted":true}},{"sum":{"bits_per_second":1600}},{"sum":{"bits_per_second":2400}}],
		"end":{"sum_sent":{"bits_per_second":2100,"retransmits":3},"sum_received":{"bits_per_second":2000}}}`
	for _, c := range []struct {
		name, out string
		job       Job
		want      float64
		fails     string
	}{
		{"tcp", tcp, Job{Kind: TCP}, 250, ""},
		{"text before it", "warning: this system lacks something\n" + tcp, Job{Kind: TCP}, 250, ""},
		{"text after it", tcp + "\niperf3: interrupt\n", Job{Kind: TCP}, 250, ""},
		{"refused, exit 0", `{"start":{},"intervals":[],"end":{},"error":"unable to connect to server: Connection refused"}`, Job{Kind: TCP}, 0, "Connection refused"},
		{"busy", `{"error":"the server is busy running a test. try again later"}`, Job{Kind: TCP}, 0, "busy"},
		{"nothing", "", Job{Kind: TCP}, 0, "no report"},
		{"no JSON", "iperf3: error\n", Job{Kind: TCP}, 0, "iperf3: error"},
		{"cut off", tcp[:40], Job{Kind: TCP}, 0, "read the report"},
		{"no sum", `{"end":{}}`, Job{Kind: TCP}, 0, "no sum"},
		{"no bytes", `{"end":{"sum_received":{"bits_per_second":0}}}`, Job{Kind: TCP}, 0, "no bytes"},
		{"one way only", tcp, Job{Kind: TCP, Bidir: true}, 0, "way back"},
		{"udp", `{"end":{"sum":{"bits_per_second":8000,"jitter_ms":2,"lost_packets":10,"packets":100}}}`, Job{Kind: UDP, Rate: 2000}, 900, ""},
		{"udp, no packets", `{"end":{"sum":{}}}`, Job{Kind: UDP}, 0, "no packets"},
	} {
		m, err := parseIperf3([]byte(c.out), &c.job)
		if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err == nil && m.Values["throughput"] != c.want {
			t.Errorf("%s: %v", c.name, m.Values)
		}
		switch {
		case c.name == "tcp" && (m.Values["retransmits"] != 3 || !slices.Equal(m.Series[0].Values, []float64{200, 300})):
			t.Errorf("%v %v", m.Values, m.Series)
		case c.name == "udp" && (m.Values["loss"] != 0.1 || m.Values["jitter"] != 0.002 || m.Values["achieved"] != 0.5 || !slices.Contains(m.Flags, perfcheck.FlagRateMissed)):
			t.Errorf("%v %v", m.Values, m.Flags)
		case c.name == "busy" && fault.HintOf(err) == "":
			t.Error("no hint")
		}
	}
}

func TestIperf3Args(t *testing.T) {
	t.Parallel()
	j := Job{Kind: UDP, Streams: 2, Rate: 1e6, Packet: 1400, Source: "10.0.0.1", Device: "eth1", Reverse: true}
	j.Warmup, j.Duration = 100*time.Millisecond, 2500*time.Millisecond
	got := strings.Join(j.iperf3Args("10.0.0.2", 5301), " ")
	if want := "-c 10.0.0.2 -p 5301 -J -t 3 -P 2 --connect-timeout 5000 -O 1 -R -B 10.0.0.1 --bind-dev eth1 -u -l 1400 -b 4000000"; got != want {
		t.Errorf("%s", got)
	}
}

func FuzzParseIperf3(f *testing.F) {
	f.Add([]byte(`x {"end":{"sum":{"packets":1}}}`), true)
	f.Add([]byte(`{"error":"busy"}`), false)
	f.Fuzz(func(t *testing.T, out []byte, udp bool) {
		j := Job{Kind: TCP}
		if udp {
			j.Kind = UDP
		}
		m, err := parseIperf3(out, &j)
		if err == nil && (len(m.Values) == 0 || len(m.Series) != 1) {
			t.Errorf("%q: no error and no values", out)
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte("GET /" + strings.Repeat("ab", 32) + "/1024 HTTP/1.1\r\nHost: x\r\nConnection: close"))
	f.Add([]byte("GET / HTTP/1.1"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if r, ok := parseRequest(head); ok && (r.bytes < 1 || r.bytes > maxBody || !bytes.HasPrefix(head, []byte("GET /"))) {
			t.Errorf("%q: %+v", head, r)
		}
	})
}

func FuzzParseResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 10"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: -1"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if n, err := parseResponse(head); err == nil && n < 0 {
			t.Errorf("%q: %d", head, n)
		}
	})
}

func FuzzWire(f *testing.F) {
	key := tokenHash("x")
	good := hello{what: forControl, session: 7, stream: 3}.encode(key)
	f.Add(good[:])
	f.Add(make([]byte, headerSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, ok := decodeHello(b, key); ok {
			if again := h.encode(key); !bytes.Equal(again[:], b) {
				t.Errorf("%x became %x", b, again)
			}
		}
		var h header
		if h.decode(b) {
			again := make([]byte, headerSize)
			h.encode(again)
			if !bytes.Equal(again, b[:headerSize]) {
				t.Errorf("%x became %x", b, again)
			}
		}
	})
}
