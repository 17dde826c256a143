package hostprep

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cw/cluster"
	"cw/schema"
)

// reservedPorts keeps the system from giving the cluster's ports to clients.
const reservedPorts = "net.ipv4.ip_local_reserved_ports"

// kernelRule is what a setting of the kernel should be. Of settings that a rule
// calls a least or most value a better one stays as it is.
type kernelRule struct {
	key      string
	want     string // what a fix writes; "" when the rule does not apply here
	expected string // in words, when that is not want
	ok       func(have string) bool
	postgres bool // the rule is PostgreSQL's too
}

const (
	prepGuide   = "Greenplum, installation guide, preparing hosts"
	gibibyte    = int64(1) << 30
	bigMemory   = 64 * gibibyte // from here on dirty pages are limited by bytes
	localLow    = 10000         // ip_local_port_range
	localHigh   = 65535
	cloudPort   = 65330 // reserved on cloud machines (Greenplum, platform requirements)
	idleSeconds = 12 * 3600
)

// coupled are settings that zero each other when they are written
// (Documentation/admin-guide/sysctl/vm.rst): to bring one back is to write
// the other. The first of a pair is restored first.
var coupled = [][2]string{ //nolint:gochecknoglobals // constant table
	{"vm.dirty_bytes", "vm.dirty_ratio"},
	{"vm.dirty_background_bytes", "vm.dirty_background_ratio"},
	{"vm.overcommit_kbytes", "vm.overcommit_ratio"},
}

// kernelRules are the settings of a host. Most are of Greenplum's installation
// guide (prepGuide), with what has to be computed from the machine. For PostgreSQL
// only those count that its manual (chapter 19.4, kernel resources) or the
// kernel's own documentation give a reason for: memory that is not promised
// twice, few pages written at once, no swapping of what is in use, and
// connection queues.
func kernelRules(t *cluster.Topology, l *cluster.Layout, s *survey) []kernelRule {
	var out []kernelRule
	add := func(postgres bool, r ...kernelRule) {
		for i := range r {
			r[i].postgres = postgres
		}
		out = append(out, r...)
	}
	ram := s.facts.MemTotal
	if all := s.system.pages / 2; all > 0 {
		add(false, least("kernel.shmall", all), least("kernel.shmmax", all*s.system.pageSize))
	}
	add(false, least("kernel.shmmni", 4096), exact("kernel.sysrq", 1), exact("kernel.core_uses_pid", 1),
		least("kernel.msgmnb", 65536), least("kernel.msgmax", 65536), least("kernel.msgmni", 2048))

	over, ratio := overcommit(t, l, s)
	add(true, over, ratio)
	add(true, most("vm.swappiness", 10), exact("vm.zone_reclaim_mode", 0), most("vm.dirty_expire_centisecs", 500), most("vm.dirty_writeback_centisecs", 100))
	if ram > bigMemory {
		add(true, exact("vm.dirty_background_bytes", 1610612736), exact("vm.dirty_bytes", 4294967296))
	} else {
		add(true, most("vm.dirty_background_ratio", 3), most("vm.dirty_ratio", 10))
		for i := len(out) - 2; i < len(out); i++ { // 0 means that the limit in bytes counts
			atMost := out[i].ok
			out[i].ok = func(have string) bool { return have != "0" && atMost(have) }
		}
	}
	add(true, minFree(ram))

	add(true, exact("net.ipv4.tcp_syncookies", 1), least("net.ipv4.tcp_max_syn_backlog", 4096))
	add(false, exact("net.ipv4.conf.default.accept_source_route", 0), exact("net.ipv4.conf.all.arp_filter", 1),
		least("net.ipv4.ipfrag_high_thresh", 41943040), least("net.ipv4.ipfrag_low_thresh", 31457280), least("net.ipv4.ipfrag_time", 60),
		least("net.core.netdev_max_backlog", 10000), least("net.core.rmem_max", 2097152), least("net.core.wmem_max", 2097152),
		least("net.netfilter.nf_conntrack_tcp_timeout_established", idleSeconds), portRange(), reserved(s))
	return out
}

// kernelKeys are all settings that rules and fixes are about, for the survey.
func kernelKeys() []string {
	keys := []string{"kernel.sem", "kernel.core_pattern"}
	for _, r := range kernelRules(&cluster.Topology{}, &cluster.Layout{}, &survey{system: system{pages: 2, pageSize: 1}}) {
		keys = append(keys, r.key)
	}
	for _, pair := range coupled {
		for _, k := range pair {
			if !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	return keys
}

func number(text string) (float64, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64) // 18446744073709551615 occurs
	return n, err == nil
}

func exact(key string, want int64) kernelRule {
	text := strconv.FormatInt(want, 10)
	return kernelRule{key: key, want: text, ok: func(have string) bool { return strings.TrimSpace(have) == text }}
}

func least(key string, want int64) kernelRule {
	text := strconv.FormatInt(want, 10)
	return kernelRule{key: key, want: text, expected: "at least " + text, ok: func(have string) bool {
		n, ok := number(have)
		return ok && n >= float64(want)
	}}
}

func most(key string, want int64) kernelRule {
	text := strconv.FormatInt(want, 10)
	return kernelRule{key: key, want: text, expected: "at most " + text, ok: func(have string) bool {
		n, ok := number(have)
		return ok && n <= float64(want)
	}}
}

// minFree is 3 % of memory, and never more than 5 %.
func minFree(ram int64) kernelRule {
	kb := ram >> 10
	want := kb * 3 / 100
	return kernelRule{
		key: "vm.min_free_kbytes", want: strconv.FormatInt(want, 10), expected: fmt.Sprintf("%d to %d (3 to 5 %% of memory)", want, kb*5/100),
		ok: func(have string) bool {
			n, ok := number(have)
			return ok && n >= float64(want) && n <= float64(kb*5/100)
		},
	}
}

// overcommit is how much memory the kernel may promise. On machines that are
// too small for the formula a strict limit would only keep programs from
// starting.
func overcommit(t *cluster.Topology, l *cluster.Layout, s *survey) (mode, ratio kernelRule) {
	mode, ratio = exact("vm.overcommit_memory", 2), kernelRule{key: "vm.overcommit_ratio"}
	if t.Engine.Kind == cluster.Postgres {
		// The manual advises the mode and leaves the ratio to swap and memory.
		ratio = least(ratio.key, 80)
		if s.facts.MemTotal < 8*gibibyte {
			mode.want, ratio.want = "", ""
		}
		return mode, ratio
	}
	acting := 0
	for _, h := range s.same {
		acting += l.Acting(h)
	}
	m := cluster.MemoryOf(s.whole, acting)
	if m.VMem <= 0 || s.facts.MemTotal < 16*gibibyte {
		mode.want = ""
		return mode, ratio
	}
	ratio.want = strconv.Itoa(m.Overcommit)
	ratio.expected = fmt.Sprintf("%d (memory less 2.6 %% of gp_vmem)", m.Overcommit)
	ratio.ok = func(have string) bool {
		n, ok := number(have)
		return ok && n >= float64(m.Overcommit-1) && n <= float64(m.Overcommit+1)
	}
	return mode, ratio
}

// portRange is what the system may give to clients: enough for the segments'
// connections, and not what servers use.
func portRange() kernelRule {
	return kernelRule{
		key: "net.ipv4.ip_local_port_range", want: fmt.Sprintf("%d %d", localLow, localHigh), expected: fmt.Sprintf("%d to %d", localLow, localHigh),
		ok: func(have string) bool {
			w := strings.Fields(have)
			if len(w) != 2 {
				return false
			}
			low, err1 := strconv.Atoi(w[0])
			high, err2 := strconv.Atoi(w[1])
			// The guide's lower end: what begins at 1024 gives ports of servers away.
			return err1 == nil && err2 == nil && low >= localLow && high-low >= (localHigh-localLow)/2
		},
	}
}

// reserved are the cluster's ports that lie in the range of clients.
func reserved(s *survey) kernelRule {
	low, high := localLow, localHigh
	if w := strings.Fields(s.kernel["net/ipv4/ip_local_port_range"]); len(w) == 2 {
		if n, err := strconv.Atoi(w[0]); err == nil {
			low = min(low, n)
		}
	}
	want := s.reservedPorts(low, high)
	return kernelRule{
		key: reservedPorts, want: want, expected: "the cluster's ports between " + strconv.Itoa(low) + " and " + strconv.Itoa(high) + " in it",
		ok: func(have string) bool { return strings.TrimSpace(have) == want || want == "" },
	}
}

// reservedPorts is the list of ports with those of the machine's nodes that
// lie in a range, and on cloud machines the one that they keep for themselves.
func (s *survey) reservedPorts(low, high int) string {
	have := s.kernel["net/ipv4/ip_local_reserved_ports"]
	var add []int
	for _, n := range s.beside {
		if n.Port >= low && n.Port <= high && !inRanges(have, n.Port) {
			add = append(add, n.Port)
		}
	}
	if s.system.virt == "vm" && !inRanges(have, cloudPort) {
		add = append(add, cloudPort)
	}
	if len(add) == 0 {
		return have
	}
	var parts []string
	if have != "" {
		parts = strings.Split(have, ",")
	}
	slices.Sort(add)
	for i := 0; i < len(add); i++ {
		first := add[i]
		for i+1 < len(add) && add[i+1] <= add[i]+1 {
			i++
		}
		if add[i] == first {
			parts = append(parts, strconv.Itoa(first))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", first, add[i]))
		}
	}
	// The kernel prints the list in order, whatever was written.
	slices.SortFunc(parts, func(a, b string) int { return firstPort(a) - firstPort(b) })
	return joinRanges(parts)
}

func firstPort(part string) int {
	word, _, _ := strings.Cut(part, "-")
	n, _ := strconv.Atoi(word)
	return n
}

// joinRanges writes ranges that touch as one, as the kernel's bitmap does.
func joinRanges(parts []string) string {
	type span struct{ from, to int }
	var spans []span
	for _, p := range parts {
		from := firstPort(p)
		to := from
		if _, last, ok := strings.Cut(p, "-"); ok {
			to, _ = strconv.Atoi(last)
		}
		if n := len(spans); n > 0 && from <= spans[n-1].to+1 {
			spans[n-1].to = max(spans[n-1].to, to)
			continue
		}
		spans = append(spans, span{from, to})
	}
	words := make([]string, len(spans))
	for i, s := range spans {
		words[i] = strconv.Itoa(s.from)
		if s.to > s.from {
			words[i] += "-" + strconv.Itoa(s.to)
		}
	}
	return strings.Join(words, ",")
}

// notHere is the remedy for what a container only shows.
func (s *survey) notHere() string {
	return "it is read-only on " + s.host.Name + ": set it on the machine that the container runs on"
}

// promised is, for the rule of strict overcommitting, how much memory the host
// has promised and nine tenths of how much it could then. Where that is less
// nothing more could be started, not even what would take it back.
func (s *survey) promised(r kernelRule) (used, limit int64) {
	if r.key != overcommitMode {
		return 0, 0
	}
	n, err := strconv.ParseInt(s.kernel["Committed_AS"], 10, 64)
	if err != nil {
		return 0, 0
	}
	return n << 10, (s.facts.MemTotal + s.facts.SwapTotal) / 10 * 9
}

// checkKernel compares the kernel's settings with the rules.
func checkKernel(t *cluster.Topology, l *cluster.Layout, s *survey) []Check {
	var out []Check
	for _, r := range kernelRules(t, l, s) {
		if t.Engine.Kind == cluster.Postgres && !r.postgres {
			continue
		}
		c := Check{ID: "sysctl " + r.key, Severity: Advised, OK: true, Expected: r.expected}
		if c.Expected == "" {
			c.Expected = r.want
		}
		have, known := s.kernel[procPath(r.key)]
		c.Observed = have
		switch {
		case r.want == "" && r.key != reservedPorts:
			c.Expected, c.NotApplicable = "any", "the machine is too small for the formula"
		case !known:
			c.Observed, c.NotApplicable = "-", "this kernel or container does not show it"
		case !r.ok(have):
			c.OK = false
			c.Remedy = fmt.Sprintf("on %s as root: sysctl -w %s=%q, and the same line in /etc/sysctl.d (%s)", s.host.Name, r.key, r.want, prepGuide)
			if slices.Contains(s.system.readOnly, "/proc/sys/"+procPath(r.key)) {
				c.Remedy = s.notHere()
			} else if used, limit := s.promised(r); used > limit {
				c.Remedy = fmt.Sprintf("more is promised on %s (%s) than the strict limit would be (%s): add swap or end something, then try again", s.host.Name, schema.FormatSize(used), schema.FormatSize(limit))
			} else {
				c.fixKernel(r.key, r.want)
			}
		}
		out = append(out, c)
	}
	return out
}
