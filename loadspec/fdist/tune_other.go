//go:build !linux

package fdist

import "net"

func tune(net.Conn) {}
