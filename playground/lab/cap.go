package lab

import (
	"strconv"
	"strings"
)

// Cap bounds what host i sends to host j to a rate in tc's words, as 200mbit;
// j 0 is everything it sends. It can be called for several j, and once for 0.
func (l *Lab) Cap(i, j int, rate string) {
	l.t.Helper()
	h := l.host(i)
	must := func(words string, ok ...string) {
		if out, err := h.run(strings.Fields(words)...); err != nil {
			for _, o := range ok {
				if strings.Contains(out, o) {
					return
				}
			}
			l.t.Fatalf("lab: %s: %s: %v: %s", h.Name, words, err, out)
		}
	}
	// Classes are chosen by a packet's priority, which nft sets: a kernel may
	// have no classifiers of tc.
	must("tc qdisc add dev eth0 root handle 1: htb default 1", "File exists", "Exclusivity")
	if j == 0 {
		must("tc class replace dev eth0 parent 1: classid 1:1 htb rate " + rate)
		return
	}
	class := "1:" + strconv.FormatInt(int64(j+1), 16)
	must("tc class replace dev eth0 parent 1: classid " + class + " htb rate " + rate)
	must("nft add table ip cap")
	must("nft add chain ip cap out { type filter hook output priority 0 ; }")
	must("nft add rule ip cap out ip daddr " + l.host(j).Addr + " meta priority set " + class)
}
