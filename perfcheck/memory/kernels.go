package memory

// kernel is what a kernel's name stands for and how many bytes it moves for
// each element, counted as STREAM does: what the program reads and writes,
// not what the caches fetch for it.
func kernel(name string) (run func(a, b, c []float64), bytes int) {
	switch name {
	case Copy:
		// The runtime's copy goes past the caches when much is copied, as
		// that of C does.
		return func(a, _, c []float64) { copy(c, a) }, 16
	case Scale:
		return func(_, b, c []float64) { scale(b, c, scalar) }, 16
	case Add:
		return add, 24
	case Triad:
		return func(a, b, c []float64) { triad(a, b, c, scalar) }, 24
	}
	return nil, 0
}

// The loops take eight elements at a time through arrays of fixed length: the
// compiler drops the bounds checks.

func scaleGo(b, c []float64, s float64) {
	for len(b) >= 8 && len(c) >= 8 {
		x, y := (*[8]float64)(b), (*[8]float64)(c)
		x[0], x[1], x[2], x[3] = s*y[0], s*y[1], s*y[2], s*y[3]
		x[4], x[5], x[6], x[7] = s*y[4], s*y[5], s*y[6], s*y[7]
		b, c = b[8:], c[8:]
	}
	for i := range b {
		b[i] = s * c[i]
	}
}

func addGo(a, b, c []float64) {
	for len(a) >= 8 && len(b) >= 8 && len(c) >= 8 {
		x, y, z := (*[8]float64)(a), (*[8]float64)(b), (*[8]float64)(c)
		z[0], z[1], z[2], z[3] = x[0]+y[0], x[1]+y[1], x[2]+y[2], x[3]+y[3]
		z[4], z[5], z[6], z[7] = x[4]+y[4], x[5]+y[5], x[6]+y[6], x[7]+y[7]
		a, b, c = a[8:], b[8:], c[8:]
	}
	for i := range c {
		c[i] = a[i] + b[i]
	}
}

func triadGo(a, b, c []float64, s float64) {
	for len(a) >= 8 && len(b) >= 8 && len(c) >= 8 {
		x, y, z := (*[8]float64)(a), (*[8]float64)(b), (*[8]float64)(c)
		x[0], x[1], x[2], x[3] = y[0]+s*z[0], y[1]+s*z[1], y[2]+s*z[2], y[3]+s*z[3]
		x[4], x[5], x[6], x[7] = y[4]+s*z[4], y[5]+s*z[5], y[6]+s*z[6], y[7]+s*z[7]
		a, b, c = a[8:], b[8:], c[8:]
	}
	for i := range a {
		a[i] = b[i] + s*c[i]
	}
}
