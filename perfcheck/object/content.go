package object

import (
	"bytes"
	"crypto/md5" //nolint:gosec // the ETag of S3
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
)

// patternSize is a prime, so that what lies at one offset of an object lies
// at no other that a range could be mistaken for.
const patternSize = 8388593

// content is what all objects consist of: random bytes that repeat after
// patternSize, begun at another place in each object.
type content struct {
	pattern []byte

	mu   sync.Mutex
	sums map[int64][variants]sum // by the part's size
}

// variants is how many different parts of one size are put.
const variants = 8

// sum is the checksum of a part.
type sum struct{ md5 [md5.Size]byte }

// carried is the sum for a request to carry where the answer's ETag will be
// none: the store compares it then.
func (s *Set) carried(x sum) *string {
	if !s.opaque.Load() {
		return nil
	}
	return x.header()
}

// header is the sum as a request carries it.
func (x sum) header() *string {
	text := base64.StdEncoding.EncodeToString(x.md5[:])
	return &text
}

func newContent(seed uint64) *content {
	c := &content{pattern: make([]byte, patternSize), sums: map[int64][variants]sum{}}
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	_, _ = rand.NewChaCha8(key).Read(c.pattern) // never fails
	return c
}

// at is the longest piece of the content of an object from an offset on.
func (c *content) at(object int, offset int64) []byte {
	return c.pattern[(offset+int64(object)*1000003)%patternSize:]
}

// errContent is a body that is not what was put.
var errContent = errors.New("the content is not what was put there")

// check compares bytes that were read with what was put.
func (c *content) check(object int, offset int64, got []byte) error {
	for len(got) > 0 {
		want := c.at(object, offset)
		n := min(len(want), len(got))
		if !bytes.Equal(want[:n], got[:n]) {
			return errContent
		}
		got, offset = got[n:], offset+int64(n)
	}
	return nil
}

// sumsOf computes the checksums of the parts of a size, once.
func (c *content) sumsOf(size int64) [variants]sum {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, known := c.sums[size]
	if known {
		return all
	}
	var each sync.WaitGroup
	for v := range variants {
		each.Go(func() { all[v] = c.sumOf(v, 0, size) })
	}
	each.Wait()
	c.sums[size] = all
	return all
}

func (c *content) sumOf(object int, offset, size int64) sum {
	m := md5.New() //nolint:gosec // the ETag of S3
	_, _ = io.Copy(m, &reader{c: c, object: object, from: offset, size: size})
	return sum{md5: [md5.Size]byte(m.Sum(nil))}
}

// reader gives a range of an object's content. onRead, which may be nil, hears
// how much was taken.
type reader struct {
	c          *content
	object     int
	from, size int64
	at         int64
	onRead     func(n int)
}

// Read gives the next bytes.
func (r *reader) Read(p []byte) (int, error) {
	if r.at >= r.size {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), r.size-r.at)], r.c.at(r.object, r.from+r.at))
	r.at += int64(n)
	if r.onRead != nil {
		r.onRead(n)
	}
	return n, nil
}

// Seek is what the SDK learns a body's length by.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		r.at = offset
	case io.SeekCurrent:
		r.at += offset
	case io.SeekEnd:
		r.at = r.size + offset
	}
	return r.at, nil
}
