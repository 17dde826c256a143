package copy

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestCutRange: bounds rise, lie inside, and are as many as there is room for.
func TestCutRange(t *testing.T) {
	t.Parallel()
	check := func(low, high int64, n int) {
		t.Helper()
		cuts := cutRange(low, high, n)
		if len(cuts) > n-1 {
			t.Errorf("%d to %d in %d: %d bounds", low, high, n, len(cuts))
		}
		before := low
		for _, c := range cuts {
			if c <= before || c > high {
				t.Fatalf("%d to %d in %d: bounds %v", low, high, n, cuts)
			}
			before = c
		}
		if float64(high)-float64(low) > float64(2*n) && len(cuts) != n-1 {
			t.Errorf("%d to %d in %d: only %d bounds", low, high, n, len(cuts))
		}
	}
	check(0, 0, 8)
	check(1, 2, 8)
	check(math.MinInt64, math.MaxInt64, 256)
	check(math.MaxInt64-1, math.MaxInt64, 3)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		a, b := int64(rng.Uint64())>>rng.IntN(64), int64(rng.Uint64())>>rng.IntN(64)
		check(min(a, b), max(a, b), 2+rng.IntN(300))
	}
}
