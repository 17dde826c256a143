package perfcheck

import (
	"fmt"
	"math"
	"slices"
)

// The bands around a reference, as shares of its value in the bad direction.
// They are the least: noise widens them. Latencies vary more than rates.
const (
	warnRate, failRate       = 0.10, 0.17
	warnLatency, failLatency = 0.15, 0.25
	// Tails and the like, which may only warn, easily double.
	warnTail = 0.50

	warnSigmas, failSigmas = 2.0, 3.0
	// clearSigmas is how far a value must be from the limit of failure to be
	// believed without more repetitions.
	clearSigmas = 2.0
	// suspectTimes is from how many times the reference on a value is too
	// good to be true.
	suspectTimes = 2.5
	// wildNoise is the standard deviation of repetitions, as a share of their
	// median, above which no value fails by comparison.
	wildNoise = 0.5
	// wonderTimes is from how many times it is measured again first.
	wonderTimes = 1.75
)

// Judge compares a combined test with references and fills its Comparisons,
// its Baseline, Verdict and Reason: the worst rule decides, all are shown.
//
// It returns true when the result is suspicious: the test should be measured
// again, and the results of all repetitions combined and judged anew, up to
// three times, before its verdict is believed. That is so for a value that
// would fail, that is too good to be true, or that noise keeps from being told
// from one that fails. The verdict is complete each time, so that the caller
// may stop when it wants.
func Judge(t *Test, def Definition, refs []Reference) (suspicious bool) {
	t.Comparisons, t.Baseline = nil, nil
	if t.Verdict == Skipped || len(t.Metrics) == 0 {
		return false
	}
	for i := range refs {
		r := &refs[i]
		for _, d := range def.Metrics {
			m, ok := t.Metrics[d.Name]
			if !ok {
				continue
			}
			for _, b := range r.find(t.ID, d.Name) {
				c, again := compare(t, d, m, r, b)
				if c.Verdict == Pass && r.Engine != "" && r.Engine != EngineVersion {
					c.Verdict, c.Reason = Warn, fmt.Sprintf("%s was measured by engines of version %s, this by %s: record it anew", r.ID, r.Engine, EngineVersion)
				}
				suspicious = suspicious || again
				t.Comparisons = append(t.Comparisons, c)
			}
		}
		if r.Complete && !r.knows(t.ID) {
			t.Comparisons = append(t.Comparisons, Comparison{
				ID: r.ID, Kind: r.Kind, Metric: firstMetric(def), Verdict: Inconclusive,
				Reason: fmt.Sprintf("%s has no %s: record it anew", r.ID, t.ID),
			})
		}
	}
	for i, c := range t.Comparisons {
		if t.Baseline == nil || rank(c.Verdict) > rank(t.Baseline.Verdict) {
			t.Baseline = &t.Comparisons[i]
		}
		if c.Verdict != Pass {
			t.Worsen(c.Verdict, c.Reason)
		}
	}
	if t.Baseline != nil {
		worst := *t.Baseline // its own copy: the list may be edited
		t.Baseline = &worst
	}
	return suspicious && !slices.Contains(t.Flags, FlagClientLimited)
}

func firstMetric(def Definition) string {
	if len(def.Metrics) == 0 {
		return ""
	}
	return def.Metrics[0].Name
}

// compare holds one metric against one bound.
func compare(t *Test, d MetricDef, m Metric, r *Reference, b Bound) (c Comparison, suspicious bool) {
	c = Comparison{ID: r.ID, Kind: r.Kind, Metric: d.Name, Value: b.Value, Verdict: Pass}
	if b.Value != 0 {
		c.Ratio = m.Value / b.Value
	}
	if r.Kind == KindRequirement {
		return require(d, m, b, c)
	}
	switch {
	case d.Gate == GateNone || d.Better == Neither:
		return c, false
	case b.Value <= 0:
		// Nothing has no ratio. Where there was none of something bad, some of
		// it is worth a word.
		if d.Unit == Count && d.Better == Lower && m.Value >= 1 {
			c.Verdict, c.Reason = Warn, fmt.Sprintf("%s is %s, and was none in %s", d.Name, FormatValue(m.Value, d.Unit), c.ID)
		}
		return c, false
	}
	if why := unlike(t, b); why != "" {
		c.Verdict, c.Reason = Inconclusive, fmt.Sprintf("%s of %s is not comparable: %s", d.Name, r.ID, why)
		return c, false
	}
	return judgeRatio(t, d, m, b, c)
}

// judgeRatio judges a metric by its ratio to a reference.
func judgeRatio(t *Test, d MetricDef, m Metric, b Bound, c Comparison) (Comparison, bool) {
	// good is 1 for as good as the reference, less for worse.
	good := c.Ratio
	if d.Better == Lower {
		good = math.Inf(1)
		if m.Value > 0 {
			good = b.Value / m.Value
		}
	}
	warn, firm := warnRate, failRate
	if d.Unit == Seconds {
		warn, firm = warnLatency, failLatency
	}
	if d.Gate == GateWarn {
		warn = warnTail
	}
	chance := standardError(m, b, good)
	warn = min(max(warn, warnSigmas*chance), 0.95)
	fail := min(max(firm, failSigmas*chance), 0.95) // firm is where it would fail if nothing were noisy
	c.Warn, c.Fail = bound(d, b.Value, warn), bound(d, b.Value, fail)
	says := fmt.Sprintf("%s of %s is %s of %s's %s", d.Name, FormatValue(m.Value, d.Unit), times(c.Ratio), c.ID, FormatValue(b.Value, d.Unit))
	switch {
	case d.Gate == GateFail && good > suspectTimes:
		t.flag(FlagCachedSuspect)
		c.Verdict, c.Reason = Error, says+": too good to be true; a cache, or not the same kind of machine"
		return c, true
	case d.Gate == GateFail && good < 1-fail:
		c.Verdict, c.Reason = Fail, fmt.Sprintf("%s, beyond the limit of %s", says, FormatValue(c.Fail, d.Unit))
		switch {
		case slices.Contains(t.Flags, FlagClientLimited):
			c.Verdict, c.Reason = Inconclusive, says+", but the measuring machine itself was the limit"
		case wild(m):
			t.flag(FlagNoisy)
			c.Verdict, c.Reason = Inconclusive, says+", but the repetitions differ by more than a verdict can stand: something else was using the machine, or it is not steady"
		}
		return c, true
	case d.Gate == GateFail && good < 1-firm:
		t.flag(FlagNoisy)
		c.Verdict, c.Reason = Inconclusive, fmt.Sprintf("%s, and the noise of %.0f %% could be all of that: measure longer", says, 100*chance)
		return c, true
	case good < 1-warn:
		c.Verdict, c.Reason = Warn, fmt.Sprintf("%s, beyond %s", says, FormatValue(c.Warn, d.Unit))
	}
	// A value that looks right, from so noisy repetitions that one which
	// fails could look the same.
	return c, d.Gate == GateFail && (good-clearSigmas*chance < 1-firm || good > wonderTimes)
}

// wild says that repetitions differ so much that their median says little.
func wild(m Metric) bool {
	return m.N >= 3 && m.Value > 0 && sigma(m.Reps)/m.Value > wildNoise
}

// standardError is how far the measured value may be from the reference by
// chance, as a share of the reference: the spread of such machines, and the
// noise of the repetitions as far as their number does not even it out.
func standardError(m Metric, b Bound, good float64) float64 {
	n := float64(max(m.N, 1))
	noise := b.Noise / 2 // what is known of the noise counts when a few repetitions agree by chance
	if m.Value > 0 {
		noise = max(noise, sigma(m.Reps)/m.Value) * min(good, 1)
	}
	if m.N == 1 {
		noise = max(noise, b.Noise)
	}
	return math.Hypot(b.Spread, medianError*noise/math.Sqrt(n))
}

// bound is the limit at a share away from a value in the bad direction.
func bound(d MetricDef, value, share float64) float64 {
	if d.Better == Lower {
		return value / (1 - share)
	}
	return value * (1 - share)
}

// require judges by an absolute limit.
func require(d MetricDef, m Metric, b Bound, c Comparison) (Comparison, bool) {
	direction, sign := b.Direction, ">="
	if direction == Neither {
		direction = d.Better
	}
	met := m.Value >= b.Value
	if direction == Lower {
		met, sign = m.Value <= b.Value, "<="
	}
	if b.Level == GateWarn {
		c.Warn = b.Value
	} else {
		c.Fail = b.Value
	}
	if met {
		return c, false
	}
	c.Verdict = Fail
	if b.Level == GateWarn {
		c.Verdict = Warn
	}
	c.Reason = fmt.Sprintf("%s of %s misses the requirement of %s %s", d.Name, FormatValue(m.Value, d.Unit), sign, FormatValue(b.Value, d.Unit))
	return c, c.Verdict == Fail
}

// unlike says why a recorded value was measured with other settings.
func unlike(t *Test, b Bound) string {
	for name, was := range b.Params {
		if is, ok := t.Params[name]; ok && fmt.Sprint(is) != fmt.Sprint(was) {
			return fmt.Sprintf("%s was %v and is %v", name, was, is)
		}
	}
	return ""
}

func times(ratio float64) string { return digits(ratio) + " times" }
