package perfcheck

import "testing"

// TestWorst: a stall in one of three repetitions is what the value says.
func TestWorst(t *testing.T) {
	t.Parallel()
	def := Definition{ID: "disk.x", Metrics: []MetricDef{
		{Name: "response_p99", Unit: Seconds, Better: Lower, Worst: true},
		{Name: "achieved", Unit: Ratio, Better: Higher, Worst: true},
		{Name: "response_p50", Unit: Seconds, Better: Lower},
	}}
	reps := make([]Measurement, 0, 3)
	for _, v := range []float64{0.002, 0.5, 0.001} {
		reps = append(reps, Measurement{Values: map[string]float64{"response_p99": v, "achieved": 1 - v, "response_p50": v}})
	}
	got := Combine(def, reps).Metrics
	if got["response_p99"].Value != 0.5 || got["response_p99"].Median != 0.002 || got["achieved"].Value != 0.5 || got["response_p50"].Value != 0.002 {
		t.Errorf("%+v", got)
	}
}
