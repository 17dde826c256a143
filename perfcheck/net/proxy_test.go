package net_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	gonet "net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"cw/perfcheck/net"
)

// proxy stands between the sides: TCP goes through, datagrams pass a filter.
// It gives the address to measure against.
func proxy(t *testing.T, to string, filter func(datagram []byte, out func([]byte))) string {
	t.Helper()
	var all sync.WaitGroup
	l, err := gonet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := gonet.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Skip("the port is taken for UDP: ", err)
	}
	if err := p.(*gonet.UDPConn).SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() {
		cancel()
		_, _ = l.Close(), p.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := gonet.Dial("tcp", to)
			if err != nil {
				t.Error(err)
				return
			}
			context.AfterFunc(ctx, func() { _, _ = in.Close(), out.Close() })
			all.Go(func() { _, _ = io.Copy(in, out); _ = in.Close() })
			all.Go(func() { _, _ = io.Copy(out, in); _ = out.Close() })
		}
	})
	all.Go(func() {
		ways := map[string]gonet.Conn{}
		b := make([]byte, 1<<16)
		for {
			n, from, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			out := ways[from.String()]
			if out == nil {
				if out, err = gonet.Dial("udp", to); err != nil {
					t.Error(err)
					return
				}
				ways[from.String()] = out
				context.AfterFunc(ctx, func() { _ = out.Close() })
				all.Go(func() {
					b := make([]byte, 1<<16)
					for {
						n, err := out.Read(b)
						if err != nil {
							return
						}
						_, _ = p.WriteTo(b[:n], from)
					}
				})
			}
			filter(b[:n], func(d []byte) { _, _ = out.Write(d) })
		}
	})
	return l.Addr().String()
}

// TestReordering: one in ten datagrams is held back behind the next one, one
// in fifty comes twice.
func TestReordering(t *testing.T) {
	t.Parallel()
	s := listen(t)
	n, held := 0, []byte(nil)
	target := proxy(t, joinPort("127.0.0.1", s.Port()), func(d []byte, out func([]byte)) {
		if len(d) < 100 { // a hello
			out(d)
			return
		}
		n++
		switch {
		case n%10 == 0:
			held = append([]byte{}, d...)
			return
		case n%50 == 5:
			out(d)
		}
		out(d)
		if held != nil {
			out(held)
			held = nil
		}
	})
	m := run(t, net.Job{Kind: net.UDP, Rate: 1e6, Packet: 1000, Target: target, Token: token, Timing: short()})
	sent := m.Values["target"] * m.Values["achieved"] / 1000 * short().Duration.Seconds()
	near(t, "reordered", m.Values["reordered"], sent/10, 0.1)
	near(t, "duplicates", m.Values["duplicates"], sent/50, 0.2)
	if m.Values["loss"] > 0.01 {
		t.Errorf("nothing was lost: %v", m.Values)
	}
}

// TestPagesForOthers: another HTTP client understands the pages.
func TestPagesForOthers(t *testing.T) {
	t.Parallel()
	s := listen(t)
	key := sha256.Sum256([]byte("cw perf " + token))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, size := range []int{1, 1024, 65536} {
		for range 3 {
			r, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/%s/%d", s.Port(), hex.EncodeToString(key[:]), size))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(r.Body)
			_ = r.Body.Close()
			if err != nil || len(body) != size || r.StatusCode != http.StatusOK {
				t.Errorf("%d bytes: %d %s %v", size, len(body), r.Status, err)
			}
		}
	}
}

// TestHTTPErrors: a server that answers badly now and then has errors, one
// that always does fails the test.
func TestHTTPErrors(t *testing.T) {
	t.Parallel()
	s := listen(t)
	for _, c := range []struct {
		name  string
		every int
		fails bool
	}{{"every tenth", 10, false}, {"all", 1, true}} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			n := 0
			bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				mu.Lock()
				n++
				broken := n%c.every == 0
				mu.Unlock()
				if broken {
					http.Error(w, "no", http.StatusServiceUnavailable)
					return
				}
				_, _ = io.WriteString(w, strings.Repeat("x", 1000))
			}))
			defer bad.Close()
			target := switchTCP(t, joinPort("127.0.0.1", s.Port()), bad.Listener.Addr().String())
			m, err := net.Run(t.Context(), net.Job{Kind: net.HTTP, KeepAlive: true, Body: 1000, Streams: 2, Target: target, Token: token, Timing: short()}, nil)
			if (err != nil) != c.fails || err != nil && !strings.Contains(err.Error(), "503") {
				t.Errorf("%v", err)
			}
			if err == nil && (m.Values["errors"] < 1 || m.Values["rate"] <= 0) {
				t.Errorf("%v", m.Values)
			}
		})
	}
}

// switchTCP sends connections that begin with GET one way and all others
// another.
func switchTCP(t *testing.T, other, get string) string {
	t.Helper()
	l, err := gonet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { _ = in.Close() })
			all.Go(func() {
				r := bufio.NewReader(in)
				first, _ := r.Peek(4)
				to := other
				if string(first) == "GET " {
					to = get
				}
				out, err := gonet.Dial("tcp", to)
				if err != nil {
					_ = in.Close()
					return
				}
				context.AfterFunc(ctx, func() { _ = out.Close() })
				all.Go(func() { _, _ = io.Copy(in, out); _ = in.Close() })
				_, _ = io.Copy(out, r)
				_ = out.Close()
			})
		}
	})
	return l.Addr().String()
}
