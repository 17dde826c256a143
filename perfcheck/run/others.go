package run

import (
	"fmt"

	"cw/perfcheck"
	"cw/perfcheck/net"
)

// slowerFails is the share of the others' level below which being slower
// fails a test; above it warns, as gpcheckperf does below nine tenths.
const slowerFails = 0.7

// compareOthers finds the machines or pairs of a test that are clearly slower
// than the others, for which no baseline is needed, and returns their indexes.
func compareOthers(def perfcheck.Definition, tests []perfcheck.Test) []int {
	first := def.Metrics[0]
	if first.Better != perfcheck.Higher {
		return nil
	}
	rates := map[perfcheck.PairOf]float64{}
	index := map[perfcheck.PairOf]int{}
	for i := range tests {
		place := perfcheck.PairOf{From: tests[i].Host}
		if tests[i].Pair != nil {
			place = *tests[i].Pair
		}
		if m, ok := tests[i].Metrics[first.Name]; ok && tests[i].Verdict != perfcheck.Error {
			rates[place], index[place] = m.Value, i
		}
	}
	var slow []int
	for _, s := range net.SlowPairs(rates) {
		i := index[s.Pair]
		t := &tests[i]
		t.Flags = append(t.Flags, perfcheck.FlagSlower)
		verdict := perfcheck.Warn
		if s.Ratio < slowerFails {
			verdict = perfcheck.Fail
		}
		t.Worsen(verdict, fmt.Sprintf("%s of what the others carry (%s, they %s)", percent(s.Ratio),
			perfcheck.FormatValue(s.Rate, first.Unit), perfcheck.FormatValue(s.Usual, first.Unit)))
		slow = append(slow, i)
	}
	return slow
}

func percent(ratio float64) string { return fmt.Sprintf("%.0f %%", 100*ratio) }

func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
