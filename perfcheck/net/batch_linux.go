package net

import (
	"encoding/binary"
	gonet "net"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchSize is how many datagrams one system call moves.
const batchSize = 64

type mmsghdr struct {
	hdr  unix.Msghdr
	size uint32
}

// batch moves datagrams of a connected socket, many in one system call.
type batch struct {
	raw     syscall.RawConn
	buffers [batchSize][]byte
	vectors [batchSize]unix.Iovec
	headers [batchSize]mmsghdr
	space   [batchSize][64]byte // for notes
	noted   bool
}

// newBatch makes one with buffers of size bytes each.
func newBatch(conn *gonet.UDPConn, size int, noted bool) (*batch, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &batch{raw: raw, noted: noted}
	all := make([]byte, batchSize*size)
	for i := range batchSize {
		b.buffers[i] = all[i*size : (i+1)*size : (i+1)*size]
		b.vectors[i].Base = &b.buffers[i][0]
		b.headers[i].hdr.Iov = &b.vectors[i]
		b.headers[i].hdr.SetIovlen(1)
	}
	return b, nil
}

// send sends the buffers from one to before another and tells how many the
// kernel took. It waits while the socket's buffer is full.
func (b *batch) send(from, to, size int) (int, error) {
	for i := from; i < to; i++ {
		b.vectors[i].SetLen(size)
	}
	return b.call(unix.SYS_SENDMMSG, from, to, b.raw.Write)
}

// receive waits for datagrams and tells how many there are.
func (b *batch) receive() (int, error) {
	for i := range batchSize {
		b.vectors[i].SetLen(len(b.buffers[i]))
		if b.noted {
			b.headers[i].hdr.Control = &b.space[i][0]
			b.headers[i].hdr.SetControllen(len(b.space[i]))
		}
	}
	return b.call(unix.SYS_RECVMMSG, 0, batchSize, b.raw.Read)
}

func (b *batch) call(number uintptr, from, to int, ready func(func(fd uintptr) bool) error) (int, error) {
	var moved int
	var failed error
	err := ready(func(fd uintptr) bool {
		for {
			r, _, e := unix.Syscall6(number, fd, uintptr(unsafe.Pointer(&b.headers[from])), uintptr(to-from), unix.MSG_DONTWAIT, 0, 0)
			switch e {
			case 0:
				moved = int(r)
				return true
			case unix.EINTR:
			case unix.EAGAIN:
				return false
			default:
				failed = e
				return true
			}
		}
	})
	runtime.KeepAlive(b)
	if err != nil {
		return 0, err
	}
	return moved, failed
}

// packet is the i-th datagram received, cut off where it was longer than the
// buffer.
func (b *batch) packet(i int) []byte { return b.buffers[i][:b.headers[i].size] }

// notes are what the kernel wrote on the i-th datagram: when it arrived, in
// ns (now, where that is missing), and how many the socket had dropped by then.
func (b *batch) notes(i int, now time.Time) (arrived, dropped int64) {
	arrived = now.UnixNano()
	h := &b.headers[i].hdr
	rest := b.space[i][:min(int(h.Controllen), len(b.space[i]))]
	for len(rest) >= unix.SizeofCmsghdr {
		c := (*unix.Cmsghdr)(unsafe.Pointer(&rest[0]))
		size := int(c.Len)
		if size < unix.SizeofCmsghdr || size > len(rest) {
			break
		}
		data := rest[unix.CmsgLen(0):size]
		switch {
		case c.Level != unix.SOL_SOCKET:
		case c.Type == unix.SCM_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(unix.Timespec{})):
			arrived = (*unix.Timespec)(unsafe.Pointer(&data[0])).Nano()
		case c.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			dropped = int64(binary.NativeEndian.Uint32(data))
		}
		rest = rest[min(len(rest), unix.CmsgSpace(len(data))):]
	}
	return arrived, dropped
}
