package disk

import (
	"encoding/binary"
	"math/bits"
)

// random is splitmix64: fast, seeded, and good enough that nothing behind the
// disk compresses or deduplicates what it makes.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below draws a number from 0 to n-1.
func (r *random) below(n int64) int64 {
	hi, _ := bits.Mul64(r.next(), uint64(n))
	return int64(hi)
}

// fill makes all of b random; its length is a multiple of 8.
func (r *random) fill(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, r.next())
	}
}

// stamp changes each sector of b, so that no two writes are alike while the
// processor hardly notices.
func (r *random) stamp(b []byte) {
	for ; len(b) >= 512; b = b[512:] {
		binary.LittleEndian.PutUint64(b, r.next())
	}
}

// mix makes one seed of several numbers.
func mix(numbers ...uint64) uint64 {
	var r random
	for _, n := range numbers {
		r ^= random(n)
		r = random(r.next())
	}
	return uint64(r)
}
