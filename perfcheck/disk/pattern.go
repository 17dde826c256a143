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

// windowOf is how far compression behind a disk looks back for the same
// bytes, generously.
const windowOf = 128 << 10

// renew changes b, so that no two writes are alike while the processor hardly
// notices. Small blocks are changed in each byte: next to each other on the
// disk, changed here and there, they would compress. Of large ones each
// sector is changed.
func (r *random) renew(b []byte) {
	if len(b) > windowOf {
		for ; len(b) >= 512; b = b[512:] {
			binary.LittleEndian.PutUint64(b, r.next())
		}
		return
	}
	k := r.next() | 0x0101010101010101 // no byte of it is zero
	for ; len(b) >= 32; b = b[32:] {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k)
		binary.LittleEndian.PutUint64(b[8:], binary.LittleEndian.Uint64(b[8:])^k)
		binary.LittleEndian.PutUint64(b[16:], binary.LittleEndian.Uint64(b[16:])^k)
		binary.LittleEndian.PutUint64(b[24:], binary.LittleEndian.Uint64(b[24:])^k)
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
