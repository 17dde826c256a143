package source

import (
	"bufio"
	"compress/bzip2"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"

	"cw/fault"
)

// Windows are what a decoder must hold in memory: the object says how much.
// zstd --long=29 has 512 MiB; xz -9 has 64 MiB.
const (
	maxWindow = 512 << 20
	maxXZDict = 256 << 20
)

// decode sets up the codec. All take any number of streams one after the
// other (gzip's members, zstd's, lz4's and snappy's frames).
func (st *Stream) decode(r *bufio.Reader) error {
	switch st.Codec {
	case codecGzip:
		z, err := gzip.NewReader(r)
		if err != nil {
			return st.explain(err)
		}
		st.r = z
	case codecZstd:
		// One object is one goroutine: parallelism is across objects.
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return st.explain(err)
		}
		st.r, st.close = z, z.Close
	case codecBzip2:
		st.r = bzip2.NewReader(r)
	case codecLZ4:
		st.r = lz4.NewReader(r)
	case codecSnappy:
		st.dry = &dry{r: r}
		st.r = s2.NewReader(st.dry, s2.ReaderMaxBlockSize(64<<10)) // a snappy chunk has no more
	case codecXZ:
		head, _ := r.Peek(64) // what is too short for it shows in reading
		if dict := xzDict(head); dict > maxXZDict {
			return fault.New(fault.Failed, "compress it again with xz -9 or less", "%s: xz wants %d MiB of memory for its dictionary, %d MiB is the most cw gives", st.o.URL, dict>>20, maxXZDict>>20)
		}
		z, err := xz.ReaderConfig{DictCap: 1 << 16}.NewReader(r)
		if err != nil {
			return st.explain(err)
		}
		st.r = z
	default:
		st.r = r
	}
	return nil
}

// xzDict is the dictionary size of an xz stream's first block; 0 when the head
// does not tell. The layout is in the .xz file format's description, 3.1 and 5.3.1.
func xzDict(head []byte) int64 {
	const streamHeader, lzma2 = 12, 0x21
	if len(head) < streamHeader+2 || head[streamHeader] == 0 {
		return 0 // the index: no block
	}
	flags, at := head[streamHeader+1], streamHeader+2
	for _, present := range []bool{flags&0x40 != 0, flags&0x80 != 0} { // sizes, as variable-length integers
		for present && at < len(head) {
			present = head[at]&0x80 != 0
			at++
		}
	}
	if at+2 >= len(head) || head[at] != lzma2 || head[at+1] != 1 {
		return 0
	}
	bits := head[at+2] & 0x3f
	if bits > 39 {
		return 4<<30 - 1
	}
	return int64(2|bits&1) << (bits/2 + 11)
}

// dry remembers that its reader was asked for more than there is: the snappy
// decoder says of a cut stream that it is damaged.
type dry struct {
	r   io.Reader
	yes bool
}

func (d *dry) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if n == 0 && err != nil {
		d.yes = true
	}
	return n, err
}
