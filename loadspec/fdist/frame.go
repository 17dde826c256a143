package fdist

import "encoding/binary"

// The kinds of frames of protocol 1: one byte, four bytes length in network
// order, payload.
const (
	frameFile   = 'F'
	frameOffset = 'O'
	frameLine   = 'L'
	frameData   = 'D' // of no length: the end
	frameError  = 'E'
)

const (
	maxFileName = 255
	maxError    = 8 << 10
)

func appendFrame(b []byte, kind byte, payload string) []byte {
	return append(appendData(b, kind, len(payload)), payload...)
}

// appendData begins a frame whose payload of n bytes follows on its own.
func appendData(b []byte, kind byte, n int) []byte {
	return binary.BigEndian.AppendUint32(append(b, kind), uint32(n))
}

func appendNumber(b []byte, kind byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(appendData(b, kind, 8), uint64(n))
}

// appendBlockHead says which rows come next.
func appendBlockHead(b []byte, k *Block) []byte {
	b = appendFrame(b, frameFile, clip(k.File, maxFileName))
	b = appendNumber(b, frameOffset, k.Offset)
	return appendNumber(b, frameLine, k.Line)
}
