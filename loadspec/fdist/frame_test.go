package fdist

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readFrames is all that a segment makes of a stream.
func readFrames(stream []byte, compressed bool) (string, *Rows, error) {
	r := &Rows{frames: &frameReader{r: bufio.NewReader(iotest.HalfReader(bytes.NewReader(stream))), zstd: compressed}}
	data, err := io.ReadAll(r)
	return string(data), r, err
}

func TestFramesAsSegmentsReadThem(t *testing.T) {
	t.Parallel()
	end := "D\x00\x00\x00\x00"
	for stream, want := range map[string]string{
		"D\x00\x00\x00\x02a\nD\x00\x00\x00\x02b\n" + end: "a\nb\n",
		end: "",
		"O\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x07" + end: "",
		"D\x00\x00\x00\x02a\n" + end + "never read":               "a\n",
		"":                                  "gpfdist server closed connection",
		"D\x00\x00":                         "gpfdist server closed connection",
		"D\x00\x00\x00\x02a":                "gpfdist server closed connection",
		"D\x00\x00\x00\x02a\n":              "gpfdist server closed connection",
		"X\x00\x00\x00\x00":                 "unknown meta type 88",
		"D\xff\xff\xff\xff":                 "bad packet type 68",
		"O\x00\x00\x00\x04\x00\x00\x00\x00": "bad packet type 79 length 4",
		"F\x00\x00\x01\x01" + strings.Repeat("x", 257): "filename length 257 is too long",
		"F\x7f\xff\xff\xff":                            "too long",
		"E\x00\x00\x00\x04oops":                        "gpfdist error - oops",
		"E\x00\x00\x00\x00":                            "gpfdist error - please check gpfdist log messages",
	} {
		got, _, err := readFrames([]byte(stream), false)
		if err != nil && !strings.Contains(err.Error(), want) || err == nil && got != want {
			t.Errorf("%q: %q, %v; want %q", stream, got, err, want)
		}
	}
}

func TestBlockHead(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 200)
	stream := appendBlockHead(nil, &Block{File: long, Offset: 1 << 40, Line: 77})
	stream = append(appendData(stream, frameData, 2), "a\n"...)
	stream = appendData(stream, frameData, 0)
	_, r, err := readFrames(stream, false)
	if err != nil || r.File != long[:254] || r.Offset != 1<<40 || r.Line != 77 {
		t.Errorf("%+v, %v", r, err)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("D\x00\x00\x00\x02a\nD\x00\x00\x00\x00"), false)
	f.Add(append(appendData(nil, frameData, 4), append(zst(f, []byte("1,a\n")), "D\x00\x00\x00\x00"...)...), true)
	f.Add([]byte("E\x00\x00\x00\x04oops"), true)
	f.Fuzz(func(t *testing.T, stream []byte, compressed bool) {
		_, _, err := readFrames(stream, compressed)
		if err == nil && !bytes.Contains(stream, []byte("D\x00\x00\x00\x00")) {
			t.Error("an end that nobody sent")
		}
		if errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrCut) && !compressed {
			t.Error(err)
		}
	})
}

// FuzzBlockWriter sends what is fuzzed through both sides.
func FuzzBlockWriter(f *testing.F) {
	f.Add("name", int64(1), int64(2), []byte("1,a\n2,b\n"))
	f.Fuzz(func(t *testing.T, name string, offset, line int64, data []byte) {
		if len(data) == 0 {
			t.Skip("no block is empty")
		}
		b := &Block{File: name, Offset: offset, Line: line, Data: data}
		stream := append(appendData(appendBlockHead(nil, b), frameData, len(data)), data...)
		got, r, err := readFrames(appendData(stream, frameData, 0), false)
		if err != nil || got != string(data) || r.Offset != offset || r.Line != line || !strings.HasPrefix(name, r.File) {
			t.Errorf("%q %+v %v", got, r, err)
		}
	})
}
