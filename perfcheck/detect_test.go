package perfcheck

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func series(values ...float64) Series {
	return Series{Name: "throughput", Unit: BytesPerSecond, Interval: 1, Values: values}
}

func repeat(v float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = v
	}
	return out
}

func throttles(events []Event) []Event {
	var out []Event
	for _, e := range events {
		if e.Kind == EventThrottle {
			out = append(out, e)
		}
	}
	return out
}

// The reference's vectors, measured under kernel limits, and what a person
// would call a cliff.
func TestDetectVectors(t *testing.T) {
	t.Parallel()
	join := func(parts ...[]float64) []float64 {
		var out []float64
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	for name, c := range map[string]struct {
		values []float64
		at     []float64 // of throttles
		kinds  string    // of all events
	}{
		"tbf bucket of 150 MB":  {join([]float64{905, 704}, []float64{199, 189, 191, 190, 188, 190, 191, 189, 190, 190}), []float64{2}, "throttle "},
		"tbf, long":             {join([]float64{905, 704}, []float64{199}, repeat(189, 290)), []float64{2}, "throttle "},
		"blkio at 5 s":          {join(repeat(200, 4), []float64{161}, repeat(50, 5)), []float64{5}, "throttle "},
		"blkio at 5 s, longer":  {join(repeat(200, 4), []float64{161}, repeat(50, 25)), []float64{5}, "throttle "},
		"late":                  {join(repeat(200, 290), repeat(50, 10)), []float64{290}, "throttle "},
		"two steps":             {join(repeat(400, 100), repeat(200, 100), repeat(50, 100)), []float64{100, 200}, "throttle throttle "},
		"credits come back":     {join(repeat(200, 100), repeat(50, 100), repeat(200, 100)), []float64{100}, "throttle recovery "},
		"a minute only":         {join(repeat(200, 100), repeat(50, 60), repeat(200, 100)), []float64{100}, "throttle recovery "},
		"half a minute":         {join(repeat(200, 100), repeat(50, 30), repeat(200, 100)), nil, ""},
		"slow start":            {join(repeat(50, 20), repeat(200, 100)), nil, ""},
		"flat":                  {repeat(100, 300), nil, ""},
		"single dips":           {join(repeat(100, 40), []float64{20}, repeat(100, 40), []float64{10}, repeat(100, 3)), nil, ""},
		"stall of two seconds":  {join(repeat(100, 40), []float64{0, 0}, repeat(100, 40)), nil, "stall "},
		"stall after the cliff": {join(repeat(100, 40), repeat(30, 20), []float64{0}, repeat(30, 20)), []float64{40}, "throttle stall "},
		"nothing at all":        {repeat(0, 20), nil, ""},
		"too short":             {[]float64{200, 200, 50, 50}, nil, ""},
		"none":                  {nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events := Detect(series(c.values...))
			kinds := ""
			for _, e := range events {
				kinds += e.Kind + " "
			}
			found := throttles(events)
			if kinds != c.kinds || len(found) != len(c.at) {
				t.Fatalf("events %+v, want %q at %v", events, c.kinds, c.at)
			}
			for i, e := range found {
				if math.Abs(e.At-c.at[i]) > 1 {
					t.Errorf("at %v, want %v", e.At, c.at[i])
				}
			}
		})
	}
}

func TestThrottleSaysWhatWasGiven(t *testing.T) {
	t.Parallel()
	values := append(repeat(200e6, 30), append(repeat(50e6, 70), repeat(200e6, 50)...)...)
	events := Detect(series(values...))
	if len(events) != 2 {
		t.Fatal(events)
	}
	e := events[0]
	if e.Before != 200e6 || e.After != 50e6 || e.Credit != 30*150e6 || e.Length != 70 {
		t.Errorf("%+v", e)
	}
	if want := "throughput fell from 200 MB/s to 50 MB/s (-75 %) after 30 s; moved above the later level until then: 4.5 GB"; e.Text != want {
		t.Errorf("text %q", e.Text)
	}
}

// shapes are flat series as machines give them: the same level from the
// beginning to the end, and much else.
func shapes() map[string]func(r *rand.Rand, n int) []float64 {
	each := func(f func(r *rand.Rand, i, n int) float64) func(*rand.Rand, int) []float64 {
		return func(r *rand.Rand, n int) []float64 {
			out := make([]float64, n)
			for i := range out {
				out[i] = 100 * max(f(r, i, n), 0.01)
			}
			return out
		}
	}
	gauss := func(r *rand.Rand, cv float64) float64 { return 1 + cv*r.NormFloat64() }
	return map[string]func(r *rand.Rand, n int) []float64{
		"gaussian 20 %":   each(func(r *rand.Rand, _, _ int) float64 { return gauss(r, 0.2) }),
		"gaussian 30 %":   each(func(r *rand.Rand, _, _ int) float64 { return gauss(r, 0.3) }),
		"log-normal 25 %": each(func(r *rand.Rand, _, _ int) float64 { return math.Exp(0.25 * r.NormFloat64()) }),
		"uniform 30 %":    each(func(r *rand.Rand, _, _ int) float64 { return 0.5 + r.Float64() }),
		"calm":            each(func(r *rand.Rand, _, _ int) float64 { return gauss(r, 0.02) }),
		"outliers to 5x": each(func(r *rand.Rand, _, _ int) float64 {
			if r.Float64() < 0.04 {
				return gauss(r, 0.2) * (1 + 4*r.Float64())
			}
			return gauss(r, 0.2)
		}),
		"dips": each(func(r *rand.Rand, _, _ int) float64 {
			if r.Float64() < 0.05 {
				return gauss(r, 0.2) * (0.1 + 0.5*r.Float64())
			}
			return gauss(r, 0.2)
		}),
		"drift": func(r *rand.Rand, n int) []float64 {
			slope := 0.3 * (2*r.Float64() - 1)
			cv := 0.05 + 0.2*r.Float64()
			return each(func(r *rand.Rand, i, n int) float64 { return gauss(r, cv) * (1 + slope*(float64(i)/float64(n)-0.5)*2) })(r, n)
		},
		"sinus": func(r *rand.Rand, n int) []float64 {
			height, periods, phase, cv := 0.1+0.2*r.Float64(), 0.5+8*r.Float64(), 7*r.Float64(), 0.2*r.Float64()
			return each(func(r *rand.Rand, i, n int) float64 {
				return gauss(r, cv) * (1 + height*math.Sin(phase+periods*2*math.Pi*float64(i)/float64(n)))
			})(r, n)
		},
		"bursts": func(r *rand.Rand, n int) []float64 {
			out := each(func(r *rand.Rand, _, _ int) float64 { return gauss(r, 0.2) })(r, n)
			for range 1 + n/40 {
				factor := 0.5 + 1.5*r.Float64()
				begin := r.IntN(n)
				for i := begin; i < min(n, begin+2+r.IntN(5)); i++ {
					out[i] *= factor
				}
			}
			return out
		},
		"wandering": func(r *rand.Rand, n int) []float64 { // each second resembles the one before
			level := 0.0
			return each(func(r *rand.Rand, _, _ int) float64 {
				level = 0.8*level + 0.12*r.NormFloat64()
				return math.Exp(level)
			})(r, n)
		},
	}
}

// Flat series never throttle, whatever their noise.
func TestFlatSeriesAreNoThrottle(t *testing.T) {
	t.Parallel()
	const each = 1500 // times eleven shapes
	for name, shape := range shapes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(each) {
				r := rand.New(rand.NewPCG(seed, 5))
				n := []int{8, 10, 12, 20, 30, 60, 120, 300}[seed%8]
				values := shape(r, n)
				if found := throttles(Detect(series(values...))); len(found) > 0 {
					t.Errorf("seed %d, %d values: false alarm %+v\n%.0f", seed, n, found, values)
				}
			}
		})
	}
}

// Cliffs are found within two seconds wherever they are, under noise that
// leaves them visible.
func TestCliffsAreFound(t *testing.T) {
	t.Parallel()
	for _, cv := range []float64{0, 0.02, 0.05, 0.1, 0.15} {
		t.Run(fmt.Sprintf("noise %.0f %%", 100*cv), func(t *testing.T) {
			t.Parallel()
			missed := 0
			const each = 400
			for seed := range uint64(each) {
				r := rand.New(rand.NewPCG(seed, 7))
				n := 30 + r.IntN(300)
				margin := max(10, n/20) + 1
				at := margin + r.IntN(n-2*margin)
				// The reference asks for steps of 20 % and 5 MAD at least.
				drop := max(0.25, 1-math.Exp(-8*cv*0.6745*1.5)) + 0.1
				drop += (0.95 - drop) * r.Float64()
				values := make([]float64, n)
				for i := range values {
					values[i] = 100
					if i >= at {
						values[i] = 100 * (1 - drop)
					}
					if i == at && r.IntN(2) == 0 { // the second in which it happens
						values[i] += 100 * drop * r.Float64()
					}
					values[i] *= max(0.05, 1+cv*r.NormFloat64())
				}
				found := throttles(Detect(series(values...)))
				if len(found) != 1 || math.Abs(found[0].At-float64(at)) > 2 {
					missed++
					t.Logf("seed %d: drop of %.0f %% at %d of %d: %+v", seed, 100*drop, at, n, found)
				}
			}
			if missed > 0 {
				t.Errorf("%d of %d cliffs missed", missed, each)
			}
		})
	}
}

func TestRecovered(t *testing.T) {
	t.Parallel()
	first := Detect(series(append(repeat(200, 50), repeat(50, 50)...)...))[0]
	for name, c := range map[string]struct {
		later []float64
		want  float64
	}{
		"all":              {repeat(200, 20), 1},
		"none":             {repeat(50, 20), 0},
		"a part":           {repeat(125, 20), 0.5},
		"all, but it ends": {append(repeat(200, 3), repeat(50, 20)...), 1},
	} {
		if got, ok := Recovered(first, series(c.later...)); !ok || math.Abs(got-c.want) > 0.01 {
			t.Errorf("%s: %v %v, want %v", name, got, ok, c.want)
		}
	}
	if _, ok := Recovered(Event{}, series(1, 2, 3)); ok {
		t.Error("recovery without a throttle")
	}
}

func TestMedianCosts(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	x := make([]float64, 60)
	for i := range x {
		x[i] = math.Round(10 * r.NormFloat64())
	}
	for n, got := range medianCosts(x) {
		var want float64
		for _, v := range x[:n] {
			want += math.Abs(v - median(x[:n]))
		}
		if math.Abs(got-want) > 1e-9 {
			t.Fatalf("first %d: %v, want %v", n, got, want)
		}
	}
}

func FuzzDetect(f *testing.F) {
	f.Add([]byte{200, 200, 200, 200, 161, 50, 50, 50, 50, 50})
	f.Fuzz(func(t *testing.T, data []byte) {
		values := make([]float64, len(data))
		for i, b := range data {
			values[i] = float64(b)
		}
		for _, e := range Detect(series(values...)) {
			if e.At < 0 || e.At > float64(len(data)) || !finite(e.Before) || !finite(e.After) || !finite(e.Credit) || e.Text == "" {
				t.Errorf("event %+v", e)
			}
		}
	})
}
