package net

// fill makes data that no compression on the way makes smaller: a linear
// congruential sequence, the same every time.
func fill(b []byte) {
	x := uint64(0x9e3779b97f4a7c15)
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte(x >> 56)
	}
}
