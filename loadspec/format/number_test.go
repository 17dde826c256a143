package format

import (
	"bytes"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// Numbers against strconv and math/big.
func TestNumbers(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	ints := []int64{0, 1, 9, 10, 99, 100, 999, math.MaxInt64, math.MinInt64, math.MinInt64 + 1, 1e18, -1e18, 999999999999999999}
	for range 30_000 {
		ints = append(ints, int64(rng.Uint64())>>rng.IntN(64))
	}
	for _, i := range ints {
		if got := string(appendInt(nil, i)); got != strconv.FormatInt(i, 10) {
			t.Fatalf("%d became %s", i, got)
		}
		if got := string(appendUint(nil, uint64(i))); got != strconv.FormatUint(uint64(i), 10) {
			t.Fatalf("%d became %s", uint64(i), got)
		}
		scale := rng.IntN(25)
		want := new(big.Rat).SetFrac(big.NewInt(i), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)).FloatString(scale)
		if i < 0 && !strings.HasPrefix(want, "-") {
			t.Fatalf("%s of %d", want, i)
		}
		if got := string(appendFixed(nil, i, scale)); got != want {
			t.Fatalf("%d with %d decimals became %s, not %s", i, scale, got, want)
		}
		b := big.NewInt(i).Bytes()
		wide := make([]byte, len(b)+rng.IntN(12)+1) // two's complement with some bytes to spare
		copy(wide[len(wide)-len(b):], b)
		if i < 0 {
			n := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), uint(8*len(wide))), big.NewInt(i))
			n.FillBytes(wide)
		}
		if got := string(appendDecimal(nil, wide, scale)); got != want {
			t.Fatalf("% x with %d decimals became %s, not %s", wide, scale, got, want)
		}
	}
	for range 5_000 { // numbers of up to 20 bytes
		b := make([]byte, 1+rng.IntN(20))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		n := new(big.Int).SetBytes(b)
		if b[0] > 127 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		if got := string(appendDecimal(nil, b, 0)); got != n.String() {
			t.Fatalf("% x became %s, not %s", b, got, n)
		}
	}
}

// What is written of a float means it, and has no more digits than the
// shortest that do.
func TestFloats(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	floats := []float64{0, 1, -1, 0.1, 0.01, 0.0001, 0.00001, 123456.78, 1e14 + 0.5, 1e15, 1e15 + 2, 9007199254740993, 1e21, 1e300, 5e-324, math.MaxFloat64, 0.3, 1.0 / 3, 2.675, -0.005}
	for range 50_000 {
		f := math.Float64frombits(rng.Uint64())
		switch rng.IntN(4) {
		case 0:
			f = float64(rng.IntN(1e9)-5e8) / 100
		case 1:
			f = float64(rng.Int64N(1e15)) / 1e4
		case 2:
			f = float64(rng.IntN(1e6)) * 0.05
		}
		if !math.IsNaN(f) && !math.IsInf(f, 0) {
			floats = append(floats, f)
		}
	}
	digits := func(s string) int {
		s, _, _ = strings.Cut(s, "e")
		return len(strings.Trim(strings.NewReplacer(".", "", "-", "").Replace(s), "0"))
	}
	for _, f := range floats {
		for _, size := range []int{32, 64} {
			if size == 32 {
				f = float64(float32(f))
			}
			got := string(appendFloat(nil, f, size))
			back, err := strconv.ParseFloat(got, size)
			if back != f && !math.IsInf(f, 0) || err != nil && !math.IsInf(f, 0) {
				t.Fatalf("%v became %s (%v)", f, got, err)
			}
			if want := strconv.FormatFloat(f, 'g', -1, size); !math.IsInf(f, 0) && digits(got) > digits(want) {
				t.Fatalf("%s became %s", want, got)
			}
		}
	}
	for f, want := range map[float64]string{math.Inf(1): "Infinity", math.Inf(-1): "-Infinity", math.Copysign(0, -1): "-0"} {
		if got := string(appendFloat(nil, f, 64)); got != want {
			t.Errorf("%v: %s", f, got)
		}
	}
	if got := string(appendFloat(nil, math.NaN(), 64)); got != "NaN" {
		t.Errorf("NaN: %s", got)
	}
}

func TestPlainRun(t *testing.T) {
	t.Parallel()
	for n := range 40 {
		b := bytes.Repeat([]byte{0x7f, 0xff, 0x0e, 0x80}, 10)[:n]
		if !plainRun(b) {
			t.Fatalf("% x is plain", b)
		}
		for at := range b {
			for _, c := range []byte{0, 1, '\b', '\t', '\n', '\r', '\\'} {
				was := b[at]
				if b[at] = c; plainRun(b) {
					t.Fatalf("% x is not plain", b)
				}
				b[at] = was
			}
		}
	}
}
