package memory

import "golang.org/x/sys/cpu"

// The loops with AVX2 take 16 elements at a time; what is left over, and
// machines without it, are Go's.

//go:noescape
func scaleAVX2(b, c *float64, s float64, n int)

//go:noescape
func addAVX2(a, b, c *float64, n int)

//go:noescape
func triadAVX2(a, b, c *float64, s float64, n int)

func scale(b, c []float64, s float64) {
	n := whole(len(b))
	if n > 0 {
		scaleAVX2(&b[0], &c[0], s, n)
	}
	scaleGo(b[n:], c[n:], s)
}

func add(a, b, c []float64) {
	n := whole(len(a))
	if n > 0 {
		addAVX2(&a[0], &b[0], &c[0], n)
	}
	addGo(a[n:], b[n:], c[n:])
}

func triad(a, b, c []float64, s float64) {
	n := whole(len(a))
	if n > 0 {
		triadAVX2(&a[0], &b[0], &c[0], s, n)
	}
	triadGo(a[n:], b[n:], c[n:], s)
}

// whole is how many of n elements the loops with AVX2 take.
func whole(n int) int {
	if !cpu.X86.HasAVX2 {
		return 0
	}
	return n &^ 15
}
