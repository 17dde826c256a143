package source

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"cw/fault"
)

// summed compares an object with the sum that a manifest has of it, at its end:
// what is wrong never counts as loaded.
type summed struct {
	io.ReadCloser
	url, want string
	h         hash.Hash
}

func newSummed(body io.ReadCloser, url, want string) *summed {
	return &summed{ReadCloser: body, url: url, want: want, h: sha256.New()}
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	_, _ = s.h.Write(p[:n])
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if got := hex.EncodeToString(s.h.Sum(nil)); got != s.want {
		return n, fault.New(fault.Failed, "what is committed of it stays: remove those rows, upload the object again, and load it once more", "%s: its SHA-256 is %s, and the manifest says %s", s.url, got, s.want)
	}
	return n, err
}
