package sink

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

// Checksum is how the bytes of published objects are summed: what sha256sum
// prints of the object as it is stored.
const Checksum = "sha256"

// summed is an object whose stored bytes are counted and summed.
type summed struct {
	Object
	h hash.Hash
	n int64
}

func newSummed(o Object) *summed { return &summed{Object: o, h: sha256.New()} }

func (s *summed) Write(b []byte) (int, error) {
	n, err := s.Object.Write(b)
	s.n += int64(n)
	_, _ = s.h.Write(b[:n])
	return n, err
}

func (s *summed) sum() string { return hex.EncodeToString(s.h.Sum(nil)) }
