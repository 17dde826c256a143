package pgtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
)

// FreePort finds a TCP port that is free on every address, and keeps it for
// the test until the test ends. It lies outside the range from which the
// kernel gives ports to connections and to listeners that name none: between
// the choice and the server's start none of those can take it. Tests of other
// processes are kept off it by an abstract socket of the port's name.
func FreePort(t testing.TB) int {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	var lc net.ListenConfig
	first, last := ports()
	for range 1000 {
		port := first + rand.IntN(last-first)
		mine, err := lc.Listen(ctx, "unix", "@cw-test-port-"+strconv.Itoa(port))
		if err != nil {
			continue // another test's
		}
		l, err := lc.Listen(ctx, "tcp", ":"+strconv.Itoa(port))
		if err != nil {
			_ = mine.Close()
			continue
		}
		_ = l.Close()
		t.Cleanup(func() { _ = mine.Close() })
		return port
	}
	t.Fatal("no port is free below those that the kernel gives away")
	return 0
}

// ports is the widest range of ordinary ports that the kernel does not give
// away by itself.
func ports() (first, last int) {
	low, high := 32768, 60999 // Linux's default
	if data, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		_, _ = fmt.Sscan(strings.TrimSpace(string(data)), &low, &high)
	}
	const lowest, highest = 10000, 65535
	if highest-high > low-lowest {
		return high + 1, highest
	}
	return lowest, max(low, lowest+1)
}
