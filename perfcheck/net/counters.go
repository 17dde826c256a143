package net

import (
	gonet "net"
	"os"
	"strconv"
	"strings"
)

// tableValue reads one number of a table such as /proc/net/snmp, in which a
// line of names is followed by a line of values, both with the same prefix.
func tableValue(text, prefix, name string) (int64, bool) {
	var names []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != prefix+":" {
			continue
		}
		if names == nil {
			names = words
			continue
		}
		for i := 1; i < len(names) && i < len(words); i++ {
			if names[i] == name {
				v, err := strconv.ParseInt(words[i], 10, 64)
				return v, err == nil
			}
		}
		names = nil
	}
	return 0, false
}

// softnetDrops sums the second column of /proc/net/softnet_stat: packets that
// a CPU's backlog had no room for. It counts for the whole machine.
func softnetDrops(text string) int64 {
	var sum int64
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 1 {
			if v, err := strconv.ParseInt(words[1], 16, 64); err == nil {
				sum += v
			}
		}
	}
	return sum
}

// deviceBytes reads an interface's counters from /proc/net/dev.
func deviceBytes(text, name string) (received, sent int64, ok bool) {
	for line := range strings.Lines(text) {
		dev, rest, found := strings.Cut(line, ":")
		if !found || strings.TrimSpace(dev) != name {
			continue
		}
		words := strings.Fields(rest)
		if len(words) < 9 {
			return 0, 0, false
		}
		r, err1 := strconv.ParseInt(words[0], 10, 64)
		s, err2 := strconv.ParseInt(words[8], 10, 64)
		return r, s, err1 == nil && err2 == nil
	}
	return 0, 0, false
}

// kernelCounters are the host's counters that tell where datagrams went.
type kernelCounters struct {
	rcvbuf, reasm, softnet   int64
	listenDrops, timeWaitMax int64
}

func readCounters() kernelCounters {
	var k kernelCounters
	snmp, _ := os.ReadFile("/proc/net/snmp") // what cannot be read stays 0 before and after
	k.rcvbuf, _ = tableValue(string(snmp), "Udp", "RcvbufErrors")
	k.reasm, _ = tableValue(string(snmp), "Ip", "ReasmFails")
	softnet, _ := os.ReadFile("/proc/net/softnet_stat")
	k.softnet = softnetDrops(string(softnet))
	netstat, _ := os.ReadFile("/proc/net/netstat")
	k.listenDrops, _ = tableValue(string(netstat), "TcpExt", "ListenDrops")
	k.timeWaitMax, _ = tableValue(string(netstat), "TcpExt", "TCPTimeWaitOverflow")
	return k
}

// counted is the state of an interface's counter at some moment.
type counted struct {
	name  string
	bytes int64
	sends bool
}

// countNIC begins to count on the interface that has the connections' local
// address. It is nothing where no such interface is found.
func countNIC(conns []*gonet.TCPConn, sends bool) counted {
	if len(conns) == 0 {
		return counted{}
	}
	addr, ok := conns[0].LocalAddr().(*gonet.TCPAddr)
	if !ok {
		return counted{}
	}
	c := counted{name: nicOf(addr.IP), sends: sends}
	c.bytes = c.now()
	return c
}

func (c counted) now() int64 {
	if c.name == "" {
		return 0
	}
	dev, _ := os.ReadFile("/proc/net/dev")
	received, sent, _ := deviceBytes(string(dev), c.name)
	if c.sends {
		return sent
	}
	return received
}

// since is the name and the bytes counted.
func (c counted) since() (string, int64) { return c.name, c.now() - c.bytes }

// nicOf is the interface that has the address, "" when none has.
func nicOf(ip gonet.IP) string {
	nics, err := gonet.Interfaces()
	if err != nil {
		return ""
	}
	for _, n := range nics {
		addrs, err := n.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, ok := a.(*gonet.IPNet); ok && p.IP.Equal(ip) {
				return n.Name
			}
		}
	}
	return ""
}

// wrongNIC tells whether the interface carried clearly less than the test.
// More is other traffic. Half is far from both: headers add, and the two
// sides' windows differ by milliseconds.
func wrongNIC(h half, bytes float64) bool {
	return h.NIC != "" && h.NIC != "lo" && float64(h.NICBytes) < bytes/2
}
