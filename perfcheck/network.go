package perfcheck

import (
	"fmt"
	"strings"
)

// words say for people what the network seems to be: which lines, and how far
// apart.
func (n *Network) words() []string {
	if n == nil {
		return nil
	}
	var out []string
	var classes []string
	pairs := map[string][]PairOf{}
	for _, l := range n.Lines {
		if pairs[l.Class] == nil {
			classes = append(classes, l.Class)
		}
		pairs[l.Class] = append(pairs[l.Class], l.Pair)
	}
	for _, c := range classes {
		out = append(out, fmt.Sprintf("line class %s: %s", c, pairWords(pairs[c], len(classes) == 1)))
	}
	for _, t := range n.Tiers {
		out = append(out, fmt.Sprintf("round trip %s, %s: %s", FormatValue(t.RTT, Seconds), t.Name, pairWords(t.Pairs, len(n.Tiers) == 1)))
	}
	return out
}

// pairWords names a few pairs.
func pairWords(pairs []PairOf, all bool) string {
	if all {
		return "all pairs"
	}
	const most = 4
	var names []string
	for _, p := range pairs[:min(len(pairs), most)] {
		names = append(names, p.From+" -> "+p.To)
	}
	text := strings.Join(names, ", ")
	if len(pairs) > most {
		text += fmt.Sprintf(" and %d more", len(pairs)-most)
	}
	return text
}
