package fdist

import (
	"context"
	"fmt"
	"time"
)

// status answers GET /gpfdist/status with gpfdist's lines, misspelling and
// all.
func (s *Server) status(_ context.Context, c *conn, _ *Request) {
	read, total := s.stats.ReadBytes.Load(), s.stats.TotalBytes.Load()
	for _, i := range s.Sessions() {
		if !i.Ended {
			read += i.Done
		}
	}
	body := fmt.Sprintf("requst_time %s\r\nread_bytes %d\r\ntotal_bytes %d\r\ntotal_sessions %d\r\n",
		time.Now().Format(time.DateTime), read, total, s.stats.Sessions.Load())
	c.whole("HTTP/1.0 200 ok\r\nContent-type: text/plain\r\nExpires: 0\r\nX-GPFDIST-VERSION: " + s.o.Version +
		"\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n" + body)
}

// LogStatus writes what gpfdist writes when it is asked for its status or is
// stopped.
func (s *Server) LogStatus() {
	sessions := s.Sessions()
	put := func(format string, args ...any) { s.o.Log(LevelInfo, Where{}, fmt.Sprintf(format, args...)) }
	put("---------------------------------------")
	put("STATUS: total session(s) %d", len(sessions))
	for n, i := range sessions {
		failed, get := 0, 1
		why := i.Error
		if why == "" {
			why = "N/A"
		} else {
			failed = 1
		}
		if i.Write {
			get = 0
		}
		put("session %d: tid=%s.%s.%s, fs_error=%s, is_error=%d, nrequest=%d is_get=%d, maxsegs=%d", n, i.XID, i.CID, i.SN, why, failed, i.Attached, get, i.Segments)
	}
	put("---------------------------------------")
}
