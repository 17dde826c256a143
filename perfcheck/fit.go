package perfcheck

import (
	"container/heap"
	"math"
)

// medianCosts gives for every length n of a beginning of x the sum of the
// absolute deviations from that beginning's median, in one pass with two
// heaps.
func medianCosts(x []float64) []float64 {
	costs := make([]float64, len(x)+1)
	low, high := &floats{}, &floats{} // low holds negated values: its top is the largest
	var lowSum, highSum float64
	for i, v := range x {
		if low.Len() > 0 && v > -(*low)[0] {
			heap.Push(high, v)
			highSum += v
		} else {
			heap.Push(low, -v)
			lowSum += v
		}
		for low.Len() > high.Len()+1 {
			m := -heap.Pop(low).(float64) //nolint:errcheck // floats holds nothing else
			heap.Push(high, m)
			lowSum, highSum = lowSum-m, highSum+m
		}
		for high.Len() > low.Len() {
			m := heap.Pop(high).(float64) //nolint:errcheck // floats holds nothing else
			heap.Push(low, -m)
			lowSum, highSum = lowSum+m, highSum-m
		}
		m := -(*low)[0]
		costs[i+1] = m*float64(low.Len()) - lowSum + highSum - m*float64(high.Len())
	}
	return costs
}

// floats is a heap with the smallest on top.
type floats []float64

func (f *floats) Len() int           { return len(*f) }
func (f *floats) Less(i, j int) bool { return (*f)[i] < (*f)[j] }
func (f *floats) Swap(i, j int)      { (*f)[i], (*f)[j] = (*f)[j], (*f)[i] }

// Push is heap.Interface's.
func (f *floats) Push(v any) { *f = append(*f, v.(float64)) } //nolint:errcheck // floats holds nothing else

// Pop is heap.Interface's.
func (f *floats) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

// cubic fits a polynomial of third degree by least squares. Legendre's
// polynomials, made orthogonal on these places, keep it well conditioned.
func cubic(x []float64) []float64 {
	n := len(x)
	fit := make([]float64, n)
	var basis [][]float64
	for degree := range 4 {
		p := make([]float64, n)
		for i := range p {
			p[i] = math.Pow(2*float64(i)/float64(max(n-1, 1))-1, float64(degree))
		}
		for _, q := range basis {
			share := dot(p, q)
			for i := range p {
				p[i] -= share * q[i]
			}
		}
		norm := math.Sqrt(dot(p, p))
		if norm < 1e-9 {
			continue
		}
		for i := range p {
			p[i] /= norm
		}
		basis = append(basis, p)
		share := dot(p, x)
		for i := range fit {
			fit[i] += share * p[i]
		}
	}
	return fit
}

func dot(a, b []float64) float64 {
	var sum float64
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}
