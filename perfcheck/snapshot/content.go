package snapshot

import (
	"bytes"
	"encoding/binary"
)

// Every block begins with a header that tells what it is, and goes on with
// random data that follows from it: a reader that knows the header knows the
// whole block.
const (
	dataMagic  = 0x63772d736e617031
	probeMagic = 0x63772d736e617032
	headerSize = 32
)

// dataBlock writes the content of a block of the data set in one generation.
func dataBlock(b []byte, token uint64, index int64, generation uint32) {
	fillBlock(b, dataMagic, token, uint64(index), uint64(generation))
}

// probeBlock writes the content of the probe's write n; 0 is the content
// before all writes.
func probeBlock(b []byte, token uint64, place, n int64) {
	fillBlock(b, probeMagic, token, uint64(place), uint64(n))
}

func fillBlock(b []byte, magic, token, index, version uint64) {
	le := binary.LittleEndian
	le.PutUint64(b, magic)
	le.PutUint64(b[8:], token)
	le.PutUint64(b[16:], index)
	le.PutUint64(b[24:], version)
	state := scramble(token ^ scramble(index^scramble(version^magic)))
	for i := headerSize; i < len(b); i += 8 {
		state += 0x9e3779b97f4a7c15
		le.PutUint64(b[i:], scramble(state))
	}
}

// scramble is the finishing step of splitmix64.
func scramble(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// readProbeBlock tells which write a block of the probe's file is of; ok is
// false when it is torn, or none of the probe's at all.
func readProbeBlock(b, scratch []byte, token uint64, place int64) (n int64, ok bool) {
	le := binary.LittleEndian
	if len(b) != len(scratch) || len(b) < headerSize {
		return 0, false
	}
	n = int64(le.Uint64(b[24:]))
	if n < 0 {
		return 0, false
	}
	probeBlock(scratch, token, place, n)
	return n, bytes.Equal(b, scratch)
}

// lastAt is the number of the last of writes 1 to n that went to a place,
// when they go round and round over so many places; 0 when none did.
func lastAt(place, n, places int64) int64 {
	if n <= place {
		return 0
	}
	return n - (n-1-place)%places
}
