package perfcheck

// Median is the median of some values; 0 of none.
func Median(values []float64) float64 { return median(values) }

// Worsen sets a worse verdict with its reason, and adds the reason to those of
// an equal one.
func (t *Test) Worsen(v Verdict, reason string) { t.worsen(v, reason) }
