//go:build !linux

package net

import (
	gonet "net"
	"syscall"
	"time"

	"cw/perfcheck/kernel"
)

// What the engines need of Linux: elsewhere nothing is measured.

const batchSize = 1

type batch struct{ buffers [batchSize][]byte }

func newBatch(*gonet.UDPConn, int, bool) (*batch, error)        { return nil, kernel.Here() }
func (*batch) send(int, int, int) (int, error)                  { return 0, kernel.Here() }
func (*batch) receive() (int, error)                            { return 0, kernel.Here() }
func (*batch) packet(int) []byte                                { return nil }
func (*batch) notes(_ int, now time.Time) (arrived, drop int64) { return now.UnixNano(), 0 }

func ethtoolStats(string) (map[string]uint64, error) { return nil, kernel.Here() }

type socketOptions struct {
	device string
	shared bool
}

func (o socketOptions) control(_, _ string, _ syscall.RawConn) error {
	if o.shared || o.device != "" {
		return kernel.Here()
	}
	return nil
}

func sent(*gonet.TCPConn) (again, segments int64, err error) { return 0, 0, kernel.Here() }
func giveUpAfter(*gonet.TCPConn, time.Duration) error        { return kernel.Here() }
func receiveBuffer(syscall.Conn, int) error                  { return kernel.Here() }
func socketDrops(syscall.Conn) (int64, bool)                 { return 0, false }
func kernelNotes(syscall.Conn) error                         { return kernel.Here() }

const (
	mayFragment = iota
	usualMTU
	dontFragment
	probeMTU
)

func isIPv6(conn gonet.Conn) bool {
	a, ok := conn.RemoteAddr().(*gonet.UDPAddr)
	return ok && a.IP.To4() == nil
}

func mtuDiscovery(*gonet.UDPConn, int) error       { return kernel.Here() }
func knownMTU(*gonet.UDPConn) (mtu int, err error) { return 0, kernel.Here() }

const (
	errTooLarge     = syscall.EMSGSIZE
	errNoPorts      = syscall.EADDRNOTAVAIL
	errNobodyThere  = syscall.ECONNREFUSED
	errNoBuffers    = syscall.ENOBUFS
	errPortTaken    = syscall.EADDRINUSE
	errNotPermitted = syscall.EPERM
)

func nap(d time.Duration) { time.Sleep(d) }

func childAttributes() *syscall.SysProcAttr { return nil }
