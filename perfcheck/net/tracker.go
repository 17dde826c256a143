package net

// window is how far back a tracker knows single sequence numbers.
const window = 1 << 14

// tracker counts the datagrams of one stream by their sequence numbers.
type tracker struct {
	received  int64 // different ones
	reordered int64 // arrived after a later one
	duplicate int64
	next      uint64 // one above the highest seen
	seen      [window / 64]uint64
}

// add counts a datagram and tells whether it is a new one. One from before
// the window counts as new: it was late, which is rarer to be a copy.
func (t *tracker) add(seq uint64) bool {
	if seq >= t.next {
		if seq-t.next >= window {
			clear(t.seen[:])
		} else {
			for s := t.next; s < seq; s++ {
				t.seen[s%window/64] &^= 1 << (s % 64)
			}
		}
		t.next = seq + 1
		t.seen[seq%window/64] |= 1 << (seq % 64)
		t.received++
		return true
	}
	if t.next-seq <= window {
		if t.seen[seq%window/64]&(1<<(seq%64)) != 0 {
			t.duplicate++
			return false
		}
		t.seen[seq%window/64] |= 1 << (seq % 64)
	}
	t.received++
	t.reordered++
	return true
}

// jitter is the interarrival jitter of RFC 3550, section 6.4.1, in ns.
type jitter struct {
	value   float64
	transit int64
	began   bool
}

func (j *jitter) add(sent, arrived int64) {
	transit := arrived - sent
	if j.began {
		d := float64(transit - j.transit)
		if d < 0 {
			d = -d
		}
		j.value += (d - j.value) / 16
	}
	j.transit, j.began = transit, true
}
