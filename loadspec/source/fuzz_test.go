package source

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"testing"
)

// What claims to be compressed and is not ends with an error or as rows, not
// with a panic, and does not take the memory that it asks for.
func FuzzDecode(f *testing.F) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte("1,2\n"))
	_ = z.Close()
	f.Add(uint8(0), packed.Bytes())
	f.Add(uint8(1), []byte("\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00"))
	f.Add(uint8(2), []byte("BZh91AY&SY"))
	f.Add(uint8(3), []byte("\x04\x22\x4d\x18\x64\x40\xa7"))
	f.Add(uint8(4), []byte("\xff\x06\x00\x00sNaPpY"))
	f.Add(uint8(5), []byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00"))
	codecs := []string{codecGzip, codecZstd, codecBzip2, codecLZ4, codecSnappy, codecXZ}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		raw := &counter{r: bytes.NewReader(data)}
		st := &Stream{Codec: codecs[int(which)%len(codecs)], raw: raw}
		if st.decode(bufio.NewReader(raw)) != nil {
			return
		}
		n, err := io.Copy(io.Discard, io.LimitReader(st.r, 16<<20))
		if st.close != nil {
			st.close()
		}
		if err == nil && n > 0 && len(data) == 0 {
			t.Errorf("%d bytes of nothing", n)
		}
	})
}
