package format

import "io"

// ahead reads forward through a part of something with few reads of its own.
// It is for one goroutine.
type ahead struct {
	r      io.ReaderAt
	window int   // bytes that are read at a time
	end    int64 // nothing is read ahead beyond
	buf    []byte
	at     int64
}

// ReadAt gives what is in the window, or moves it.
func (a *ahead) ReadAt(p []byte, offset int64) (int, error) {
	if offset < a.at || offset+int64(len(p)) > a.at+int64(len(a.buf)) {
		size := max(int64(len(p)), min(int64(a.window), a.end-offset))
		if int64(cap(a.buf)) < size {
			a.buf = make([]byte, size)
		}
		a.buf, a.at = a.buf[:size], offset
		n, err := a.r.ReadAt(a.buf, offset)
		a.buf = a.buf[:n]
		if n < len(p) {
			return copy(p, a.buf), err
		}
	}
	return copy(p, a.buf[offset-a.at:]), nil
}
