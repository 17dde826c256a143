package perfcheck

import "math"

// medianCosts gives for every length n of a beginning of x the sum of the
// absolute deviations from that beginning's median, in one pass with two
// heaps.
func medianCosts(x []float64) []float64 {
	costs := make([]float64, len(x)+1)
	room := len(x)/2 + 2
	low, high := make(heap, 0, room), make(heap, 0, room) // low holds negated values: its top is the largest
	var lowSum, highSum float64
	for i, v := range x {
		if len(low) > 0 && v > -low[0] {
			high.push(v)
			highSum += v
		} else {
			low.push(-v)
			lowSum += v
		}
		if len(low) > len(high)+1 {
			m := -low.pop()
			high.push(m)
			lowSum, highSum = lowSum-m, highSum+m
		}
		if len(high) > len(low) {
			m := high.pop()
			low.push(-m)
			lowSum, highSum = lowSum+m, highSum-m
		}
		m := -low[0]
		costs[i+1] = m*float64(len(low)) - lowSum + highSum - m*float64(len(high))
	}
	return costs
}

// heap has the smallest value on top. (The library's would box every value,
// and this is most of the work of Detect.)
type heap []float64

func (h *heap) push(v float64) {
	s := append(*h, v)
	i := len(s) - 1
	for i > 0 {
		up := (i - 1) / 2
		if s[up] <= v {
			break
		}
		s[i] = s[up]
		i = up
	}
	s[i] = v
	*h = s
}

func (h *heap) pop() float64 {
	s := *h
	top, v := s[0], s[len(s)-1]
	s = s[:len(s)-1]
	*h = s
	i := 0
	for {
		down := 2*i + 1
		if down >= len(s) {
			break
		}
		if down+1 < len(s) && s[down+1] < s[down] {
			down++
		}
		if v <= s[down] {
			break
		}
		s[i] = s[down]
		i = down
	}
	if len(s) > 0 {
		s[i] = v
	}
	return top
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
