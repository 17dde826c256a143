package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"cw/fault"
)

// Handler answers one kind of call.
type Handler func(ctx context.Context, args json.RawMessage) (any, error)

// noteKey is where a call's context keeps how to say something meanwhile.
type noteKey struct{}

// Note tells whoever made the call something before its answer. Outside a
// call it does nothing.
func Note(ctx context.Context, v any) {
	if say, ok := ctx.Value(noteKey{}).(func(any)); ok {
		say(v)
	}
}

// Serve answers calls from in on out until in ends, which is how the other
// side's end, however it came, is told here; a line that is dead without being
// closed is one without signs of life. Calls run at the same time; their
// context ends with the input.
func Serve(ctx context.Context, in io.Reader, out io.Writer, handlers map[string]Handler) error {
	// When the other side has gone, writing must fail and not end the process
	// before it has tidied up.
	signal.Ignore(syscall.SIGPIPE)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &server{enc: json.NewEncoder(out), calls: map[int64]context.CancelFunc{}}
	defer s.all.Wait()
	defer cancel()
	calls, ended := make(chan call), make(chan error, 1)
	go func() {
		dec := json.NewDecoder(bufio.NewReader(in))
		for {
			var c call
			if err := dec.Decode(&c); err != nil {
				ended <- err
				return
			}
			select {
			case calls <- c:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		dog := time.NewTimer(watchdog)
		select {
		case c := <-calls:
			s.serve(ctx, c, handlers)
		case err := <-ended:
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			return fmt.Errorf("read a call: %w", err)
		case <-dog.C:
			return fault.New(fault.Unreachable, "", "no sign of life from the one that started this for %s", watchdog)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		dog.Stop()
	}
}

// server is the state of Serve.
type server struct {
	all sync.WaitGroup
	mu  sync.Mutex
	enc *json.Encoder

	callsMu sync.Mutex
	calls   map[int64]context.CancelFunc
}

func (s *server) say(r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.enc.Encode(r) // who does not hear it has gone, which the input tells
}

func (s *server) serve(ctx context.Context, c call, handlers map[string]Handler) {
	switch c.Op {
	case opPing:
		now, _ := json.Marshal(time.Now())
		s.say(reply{ID: c.ID, Result: now})
		return
	case opCancel:
		var id int64
		_ = json.Unmarshal(c.Args, &id)
		s.callsMu.Lock()
		defer s.callsMu.Unlock()
		if end := s.calls[id]; end != nil {
			end()
		}
		return
	}
	h := handlers[c.Op]
	if h == nil {
		s.say(reply{ID: c.ID, Error: &failure{Kind: fault.Usage, Text: "unknown call " + c.Op}})
		return
	}
	ctx, end := context.WithCancel(ctx)
	ctx = context.WithValue(ctx, noteKey{}, func(v any) {
		if data, err := json.Marshal(v); err == nil {
			s.say(reply{ID: c.ID, Note: data})
		}
	})
	s.callsMu.Lock()
	s.calls[c.ID] = end
	s.callsMu.Unlock()
	s.all.Go(func() {
		defer func() {
			s.callsMu.Lock()
			delete(s.calls, c.ID)
			s.callsMu.Unlock()
			end()
		}()
		result, err := h(ctx, c.Args)
		r := reply{ID: c.ID}
		if err == nil {
			r.Result, err = json.Marshal(result)
		}
		if err != nil {
			r.Error = &failure{Kind: fault.KindOf(err), Text: err.Error(), Hint: fault.HintOf(err)}
		}
		s.say(r)
	})
}

// RemoveSelf takes away the folder that the running agent lives in: where its
// program was pushed to, or its home when it was started by StartHere.
func RemoveSelf() error {
	var errs []error
	folders := []string{filepath.Dir(os.Getenv(homeVariable))}
	if exe, err := os.Executable(); err == nil {
		folders = append(folders, filepath.Dir(exe))
	}
	for _, dir := range folders {
		if strings.HasPrefix(filepath.Base(dir), FolderPrefix) {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}

// lines hands whole lines on.
type lines struct {
	on   func(string)
	rest []byte
}

// Write hands on the lines that are complete.
func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := strings.Cut(string(l.rest), "\n")
		if !ok {
			return len(p), nil
		}
		l.rest = []byte(rest)
		if l.on != nil {
			l.on(line)
		}
	}
}
