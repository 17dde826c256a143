package source

import (
	"bytes"
	"strings"

	"cw/fault"
)

const (
	codecNone   = "none"
	codecGzip   = "gzip"
	codecZstd   = "zstd"
	codecBzip2  = "bzip2"
	codecLZ4    = "lz4"
	codecSnappy = "snappy"
	codecXZ     = "xz"

	legacyLZ4 = "lz4 legacy"
)

// signatures begin the streams of the known codecs. bzip2's three letters may
// begin a text as well, so it has a test of its own.
var signatures = []struct{ codec, suffix, magic string }{ //nolint:gochecknoglobals // constant table
	{codecGzip, ".gz", "\x1f\x8b"},
	{codecZstd, ".zst", "\x28\xb5\x2f\xfd"},
	{codecBzip2, ".bz2", ""},
	{codecXZ, ".xz", "\xfd7zXZ\x00"},
	{codecLZ4, ".lz4", "\x04\x22\x4d\x18"},
	{legacyLZ4, "", "\x02\x21\x4c\x18"},
	{codecSnappy, ".sz", "\xff\x06\x00\x00sNaPpY"},
}

const longestMagic = 10

// recognise is the codec that the first bytes show; none when they show none.
// name decides where two codecs begin alike.
func recognise(head []byte, name string) string {
	for _, s := range signatures {
		if s.magic != "" && bytes.HasPrefix(head, []byte(s.magic)) {
			return s.codec
		}
	}
	if len(head) >= 10 && string(head[:3]) == "BZh" && head[3] >= '1' && head[3] <= '9' {
		switch string(head[4:10]) {
		case "1AY&SY", "\x17\x72\x45\x38\x50\x90": // a block, or the end of a stream without one
			return codecBzip2
		}
	}
	// zstd (pzstd does) and lz4 may begin with a frame to be skipped.
	if len(head) >= 4 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18" {
		if strings.HasSuffix(name, ".lz4") {
			return codecLZ4
		}
		return codecZstd
	}
	return codecNone
}

// detect chooses the codec: what the control file says, else what the content
// shows. A name that contradicts the content is an error, since either may be
// the damaged one.
func detect(o Object, compression string, head []byte) (string, error) {
	found := recognise(head, o.URL)
	if compression == codecLZ4 && found == codecZstd && head[0]&0xf0 == 0x50 {
		found = codecLZ4 // a frame to be skipped, and no name to tell by
	}
	named := codecNone
	for _, s := range signatures {
		if s.suffix != "" && strings.HasSuffix(o.URL, s.suffix) {
			named = s.codec
		}
	}
	said := compression != "" && compression != "auto"
	switch {
	case found == legacyLZ4 && (!said || compression == codecLZ4):
		return "", fault.New(fault.Usage, "write it again in the frame format: lz4 -d "+o.URL+" | lz4 > new.lz4",
			"%s: is in lz4's legacy format, which has no checksums and no end: a cut one looks whole", o.URL)
	case said && found != compression:
		return "", fault.New(fault.Failed, "write COMPRESSION: auto", "%s: does not begin as %s data", o.URL, compression)
	case !said && found == codecNone && named != codecNone:
		return "", fault.New(fault.Failed, "write COMPRESSION: none if it is not compressed, else upload it again", "%s: does not begin as %s data, which its name promises", o.URL, named)
	}
	return found, nil
}
