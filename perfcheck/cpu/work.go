package cpu

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"hash/crc32"
	"slices"

	"cw/perfcheck"
)

// kind is a kind of work. A unit of it takes well under a millisecond to a few
// of them, so that a measurement ends in time.
type kind struct {
	title  string
	metric string
	unit   string
	size   float64 // what a unit counts for, in the metric's unit times seconds
	// prepare makes one thread's data and returns the function that does a
	// unit and checks its result.
	prepare func() func() error
}

// What the units must yield: computed once, true for every machine.
const (
	integerResult = 0x16e522925df13700
	crcResult     = 0x3caf441c
	sortResult    = 0xe71c212e6d6cf774
	aesResult     = 0xe760107ddfc44d94
)

const (
	block   = 1 << 20 // bytes of a unit of crc and aes
	numbers = 1 << 14 // of a unit of sort
)

func workOf(name string) *kind {
	switch name {
	case Integer:
		return &kind{"integer arithmetic and branches", "rate", perfcheck.PerSecond, 1, func() func() error {
			return func() error { return verify("integer work", integerUnit(), integerResult) }
		}}
	case Sort:
		return &kind{"sorting", "rate", perfcheck.PerSecond, numbers, prepareSort}
	case CRC:
		return &kind{"CRC-32C", "throughput", perfcheck.BytesPerSecond, block, prepareCRC}
	case AES:
		return &kind{"AES-128-CTR", "throughput", perfcheck.BytesPerSecond, block, prepareAES}
	}
	return nil
}

func verify(what string, got, want uint64) error {
	if got != want {
		return fmt.Errorf("%s gave %#x in place of %#x: this machine computes wrong", what, got, want)
	}
	return nil
}

// next is a step of a xorshift generator.
func next(x uint64) uint64 {
	x ^= x << 13
	x ^= x >> 7
	return x ^ x<<17
}

// integerUnit mixes multiplications, divisions and branches that no predictor
// knows, as parsing and hashing rows do.
func integerUnit() uint64 {
	x, sum := uint64(0x9e3779b97f4a7c15), uint64(0)
	for i := range uint64(20_000) {
		x = next(x)
		switch x & 7 {
		case 0:
			sum += x * 0xff51afd7ed558ccd
		case 1:
			sum ^= x / (i | 1)
		case 2:
			sum -= x % (i + 3)
		case 3, 4:
			sum += sum<<5 ^ x
		default:
			sum ^= x >> (i & 31)
		}
	}
	return sum
}

func prepareSort() func() error {
	from, work := make([]uint64, numbers), make([]uint64, numbers)
	x := uint64(88172645463325252)
	for i := range from {
		x = next(x)
		from[i] = x
	}
	return func() error {
		copy(work, from)
		slices.Sort(work)
		var sum uint64
		for i, v := range work { // depends on the order
			sum = sum*31 + v ^ uint64(i)
		}
		return verify("sorting", sum, sortResult)
	}
}

func data() []byte {
	out := make([]byte, block)
	x := uint64(2463534242)
	for i := range out {
		x = next(x)
		out[i] = byte(x >> 32)
	}
	return out
}

func prepareCRC() func() error {
	bytes, table := data(), crc32.MakeTable(crc32.Castagnoli)
	return func() error { return verify("CRC-32C", uint64(crc32.Checksum(bytes, table)), crcResult) }
}

func prepareAES() func() error {
	from, to := data(), make([]byte, block)
	c, err := aes.NewCipher([]byte("cw perf cpu aes!"))
	if err != nil {
		return func() error { return err }
	}
	iv := make([]byte, c.BlockSize())
	return func() error {
		cipher.NewCTR(c, iv).XORKeyStream(to, from)
		var sum uint64
		for i := 0; i < block; i += 4099 {
			sum = sum*31 + uint64(to[i])
		}
		return verify("AES", sum, aesResult)
	}
}
