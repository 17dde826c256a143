package perfcheck

import (
	"fmt"
	"strings"
)

// ExplainFlag says in one sentence what a flag means for whoever reads a number;
// flags of other packages explain themselves by their name.
func ExplainFlag(flag string) string {
	switch flag {
	case FlagClientLimited:
		return "the measuring program itself was at its limit: the number is a lower bound"
	case FlagRateMissed:
		return "the wanted rate was not reached: latencies contain the time in the queue"
	case FlagCachedSuspect:
		return "the number is too good to be true: a cache answered, or something else was measured"
	case FlagBurstUnsafe:
		return "measured too briefly to see credits run out: --profile soak does"
	case FlagNoisy:
		return "the repetitions differ much: measure longer, or when the machine is idle"
	case FlagReceiverDrops:
		return "packets were lost at the receiving socket, not in the network: raise net.core.rmem_max"
	case FlagStartSkew:
		return "the hosts did not begin together: what they did at the same time is not certain"
	case FlagSteal:
		return "the hypervisor took CPU time away: the host of this machine is crowded"
	case FlagOtherLoad:
		return "other programs used the CPUs meanwhile: measure again when the machine is idle"
	case FlagExternal:
		return "measured by fio or iperf3"
	case FlagSmallArrays:
		return "memory was too short for arrays of four times the cache: caches may have helped"
	case FlagSmallFile:
		return "the test file is smaller than 32 GiB and a tenth of the disk: a cache behind the disk may hold it (--size)"
	case FlagSameDevice:
		return "two of the directories share a disk: together they are not faster than one"
	case FlagRootDisk:
		return "the disk of the operating system was measured"
	case FlagNoFiemap:
		return "this filesystem does not tell whether a file's extents are written: reads may not reach the disk"
	case FlagMemoryBacked:
		return "the disk is a loop device on a file in memory"
	case FlagCopyOnWrite:
		return "this filesystem writes everything to a new place: overwriting is not what it is elsewhere"
	case FlagWrongNIC:
		return "the traffic did not take the interface that was meant: look at the routes"
	case FlagMTUMismatch:
		return "small packets arrive and large ones vanish: the MTU differs on the way"
	case FlagMTUSilent:
		return "a smaller MTU on the way is not told: ICMP is filtered"
	case FlagPublicAddress:
		return "its address is not a private one: the traffic may leave the private network, and be slower and paid for"
	case FlagSlower:
		return "clearly slower than the others of this run"
	}
	return flag
}

// Spread is how much the repetitions differ, for people; "-" of a single one.
func (m Metric) Spread() string {
	if m.N < 2 {
		return "-"
	}
	return fmt.Sprintf("±%.1f %%", 100*m.CV)
}

// Against is the comparison that decided, for people.
func (t *Test) Against() string {
	c := t.Baseline
	switch {
	case c == nil:
		return "-"
	case c.Kind == KindRequirement:
		return fmt.Sprintf("%s (%s %s)", c.ID, c.Metric, FormatValue(c.Value, t.Metrics[c.Metric].Unit))
	case c.Ratio == 0:
		return c.ID
	}
	return fmt.Sprintf("%.2f x %s", c.Ratio, c.ID)
}

// Value is the metric that tables show with its spread, for people; "-" for none.
func (t *Test) Value() (value, spread string) {
	m, ok := t.Metrics[t.Main]
	if !ok {
		return "-", "-"
	}
	return FormatValue(m.Value, m.Unit), m.Spread()
}

// Line is the result in one line, for progress.
func (t *Test) Line() string {
	value, spread := t.Value()
	text := strings.TrimSpace(t.ID+" "+t.Where()) + ": "
	if value != "-" {
		text += fmt.Sprintf("%s %s", t.Main, value)
		if spread != "-" {
			text += " (" + spread + ")"
		}
		text += ", "
	}
	text += string(t.Verdict)
	if t.Reason != "" {
		text += ": " + t.Reason
	}
	return text
}
