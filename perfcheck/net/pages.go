package net

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/hex"
	gonet "net"
	"strconv"
	"sync"
	"time"
)

// pages is a small HTTP/1.1 server: GET /TOKEN/BYTES, where TOKEN is the hash
// in hexadecimal. Real web servers do more per request; this one is there to
// measure the network and the kernel below them.
type pages struct {
	mu   sync.Mutex
	body []byte
}

const (
	maxRequest = 1024
	idleTime   = 30 * time.Second
)

// answer is a response's head and body of n bytes, from a common buffer.
func (p *pages) data(n int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.body) < n {
		p.body = make([]byte, n)
		fill(p.body)
	}
	return p.body[:n]
}

// request is what the server needs to know of a request.
type request struct {
	token [32]byte
	bytes int
	close bool
}

// parseRequest reads the head of a GET.
func parseRequest(head []byte) (request, bool) {
	var r request
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	words := bytes.Split(line, []byte(" "))
	if len(words) != 3 || string(words[0]) != "GET" || string(words[2]) != "HTTP/1.1" {
		return r, false
	}
	parts := bytes.Split(words[1], []byte("/"))
	if len(parts) != 3 || len(parts[0]) != 0 || len(parts[1]) != 2*len(r.token) {
		return r, false
	}
	if _, err := hex.Decode(r.token[:], parts[1]); err != nil {
		return r, false
	}
	n, err := strconv.Atoi(string(parts[2]))
	if err != nil || n < 1 || n > maxBody {
		return r, false
	}
	r.bytes = n
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("connection")) && bytes.EqualFold(bytes.TrimSpace(value), []byte("close")) {
			r.close = true
		}
	}
	return r, true
}

// serveHTTP serves a connection whose first four bytes, "GET ", are read.
func (s *Server) serveHTTP(ctx context.Context, conn *gonet.TCPConn) {
	defer func() { s.lobby.leave(conn); _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var space [maxRequest]byte
	n := copy(space[:], "GET ")
	var out []byte
	known := false
	for {
		end := bytes.Index(space[:n], []byte("\r\n\r\n"))
		if end < 0 {
			if n == len(space) {
				return
			}
			k, err := conn.Read(space[n:])
			if err != nil {
				return
			}
			n += k
			continue
		}
		r, ok := parseRequest(space[:end])
		if !ok || subtle.ConstantTimeCompare(r.token[:], s.key[:]) != 1 {
			_, _ = conn.Write([]byte("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
			return
		}
		if !known {
			known = true
			s.lobby.leave(conn)
			// Who has gone without a word is forgotten sooner than who is slow.
			_ = conn.SetKeepAliveConfig(gonet.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3})
			_ = giveUpAfter(conn, quiet)
		}
		_ = conn.SetDeadline(time.Now().Add(idleTime))
		n = copy(space[:], space[end+4:n])
		out = append(out[:0], "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: "...)
		out = strconv.AppendInt(out, int64(r.bytes), 10)
		if r.close {
			out = append(out, "\r\nConnection: close"...)
		}
		out = append(append(out, "\r\n\r\n"...), s.pages.data(r.bytes)...)
		if _, err := conn.Write(out); err != nil || r.close {
			return
		}
	}
}
