//go:build !amd64

package memory

func scale(b, c []float64, s float64)    { scaleGo(b, c, s) }
func add(a, b, c []float64)              { addGo(a, b, c) }
func triad(a, b, c []float64, s float64) { triadGo(a, b, c, s) }
