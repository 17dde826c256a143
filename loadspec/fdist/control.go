package fdist

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"cw/fault"
)

// Status is what a server tells through its control socket.
type Status struct {
	PID      int             `json:"pid"`
	URL      string          `json:"url"`
	Dir      string          `json:"directory"`
	Started  time.Time       `json:"started_at"`
	Open     int64           `json:"connections"`
	Sent     int64           `json:"sent_bytes"`
	Received int64           `json:"received_bytes"`
	Failed   int64           `json:"sessions_failed"`
	Limits   []Limit         `json:"limits"`
	Sessions []SessionStatus `json:"sessions"`
}

// SessionStatus is one session: sizes in bytes, rates in bytes per second.
type SessionStatus struct {
	ID       int64     `json:"id"`
	Kind     string    `json:"kind"`  // read or write
	State    string    `json:"state"` // running, ended, failed
	Path     string    `json:"path"`
	XID      string    `json:"xid"`
	Database string    `json:"database,omitempty"`
	User     string    `json:"user,omitempty"`
	Attached int       `json:"attached"`
	Bytes    int64     `json:"bytes"`
	Rate     int64     `json:"rate"`
	Limit    int64     `json:"limit"` // 0: none
	Done     int64     `json:"source_bytes"`
	Total    int64     `json:"source_bytes_total"` // 0: unknown
	Started  time.Time `json:"started_at"`
	Error    string    `json:"error,omitempty"`
}

// Control lets others on this machine look at a server and change its limits,
// through a socket that only its user can open.
type Control struct {
	Server *Server
	Budget *Budget
	URL    string // of the server, as segments should use it
	Dir    string
}

// ListenControl makes the socket. One that a server which is gone has left is
// replaced; one that is in use is an error of kind Locked.
func ListenControl(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create folder of the control socket: %w", err)
	}
	if len(path) > 107 {
		return nil, fault.New(fault.Usage, "choose a shorter path with --control", "%s: a socket's path has at most 107 bytes", path)
	}
	if st, err := os.Lstat(path); err == nil {
		if st.Mode()&fs.ModeSocket == 0 {
			return nil, fault.New(fault.Usage, "choose another path with --control", "%s exists and is no socket", path)
		}
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
		if err == nil {
			_ = conn.Close()
			return nil, fault.New(fault.Locked, "choose another path with --control", "another server listens on %s", path)
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("look at the control socket %s: %w", path, err)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	// The socket must not be open to others even for a moment: it is made in a
	// folder of its own and then moved.
	private, err := os.MkdirTemp(filepath.Dir(path), ".c")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(private) }()
	early := filepath.Join(private, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: early, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on the control socket %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(early, 0o600), os.Rename(early, path)); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("listen on the control socket %s: %w", path, err)
	}
	return &controlListener{Listener: l, path: path}, nil
}

// controlListener removes its socket.
type controlListener struct {
	net.Listener
	path string
}

func (l *controlListener) Close() error {
	_ = os.Remove(l.path)
	return l.Listener.Close()
}

// Serve answers until the context ends.
func (c *Control) Serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, c.Status()) })
	mux.HandleFunc("POST /limit", c.limit)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (c *Control) limit(w http.ResponseWriter, r *http.Request) {
	var l Limit
	if err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&l); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if l.Scope == ScopeSession && !c.known(l.Name) {
		http.Error(w, "there is no session "+l.Name, http.StatusNotFound)
		return
	}
	c.Budget.Set(l)
	writeJSON(w, c.Budget.List())
}

func (c *Control) known(session string) bool {
	for _, i := range c.Server.Sessions() {
		if strconv.FormatInt(i.ID, 10) == session && !i.Ended {
			return true
		}
	}
	return false
}

// Status is the server at this moment; sessions that are over are left out
// after a minute.
func (c *Control) Status() Status {
	st := c.Server.Stats()
	out := Status{
		PID: os.Getpid(), URL: c.URL, Dir: c.Dir, Started: c.Server.started, Open: st.Open.Load(), Sent: st.SentBytes.Load(),
		Received: st.Received.Load(), Failed: st.Failed.Load(), Limits: c.Budget.List(), Sessions: []SessionStatus{},
	}
	for _, i := range c.Server.Sessions() {
		if i.Ended && time.Since(i.Last) > time.Minute {
			continue
		}
		s := SessionStatus{
			ID: i.ID, Kind: "read", State: "running", Path: i.Path, XID: i.XID, Database: i.Database, User: i.User, Attached: i.Attached,
			Bytes: i.Bytes, Rate: int64(i.Rate), Limit: c.Budget.Rate(i), Done: i.Done, Total: i.Total, Started: i.Started, Error: i.Error,
		}
		if i.Write {
			s.Kind = "write"
		}
		if i.Ended {
			s.State, s.Rate = "ended", 0
		}
		if i.Error != "" {
			s.State = "failed"
		}
		out.Sessions = append(out.Sessions, s)
	}
	slices.SortFunc(out.Sessions, func(a, b SessionStatus) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// ControlClient talks to a server through its control socket.
type ControlClient struct{ Path string }

// Status asks for the server's status.
func (c ControlClient) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.call(ctx, http.MethodGet, "/status", nil, &s)
}

// SetLimit changes a limit and returns those in force.
func (c ControlClient) SetLimit(ctx context.Context, l Limit) ([]Limit, error) {
	var list []Limit
	return list, c.call(ctx, http.MethodPost, "/limit", l, &list)
}

func (c ControlClient) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", c.Path)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://control"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return fault.New(fault.Unreachable, "is the server running, and yours? ls -l "+c.Path, "control socket %s: %w", c.Path, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
		return fault.New(fault.Failed, "see the sessions with: cw serve status", "%s", bytes.TrimSpace(text))
	}
	return json.NewDecoder(res.Body).Decode(out)
}
