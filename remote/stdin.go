package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// maxFrame is the most that one frame of standard input carries: the far side
// starts one process per frame.
const maxFrame = 1 << 20

// feed sends the command's input and the signs of life, until stop is closed
// or the connection is gone. A read of the input that is under way then is
// left behind: it ends when the reader does. An input that fails is not an
// input that ends: fail is called, which kills the command.
func (s *session) feed(stop <-chan struct{}, fail context.CancelCauseFunc) {
	in := &intake{}
	in.more.L = &in.mu
	if s.stdin != nil {
		go in.fill(s.stdin)
		go s.feedInput(in, fail)
		defer in.close()
	}
	// The first sign of life comes early, so that a command that has run for
	// a moment is guarded, while one that is over at once costs nothing.
	next := min(time.Second, s.beat)
	alive := fmt.Sprintf("t%d\n", int64((4*s.beat+time.Second-1)/time.Second))
	timer := time.NewTimer(next)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
			// A full window holds this up, and then the watcher over there
			// is busy too and has no timer running.
			s.writing.Lock()
			_, err := s.ch.Write([]byte(alive))
			s.writing.Unlock()
			if err != nil {
				return
			}
			timer.Reset(s.beat)
		}
	}
}

func (s *session) feedInput(in *intake, fail context.CancelCauseFunc) {
	for {
		data, ok, err := in.take()
		if err != nil {
			fail(fmt.Errorf("read the command's standard input: %w", err))
			return
		}
		s.writing.Lock()
		err = s.frame(data)
		s.writing.Unlock()
		if err != nil || !ok {
			return
		}
	}
}

// frame sends data as one frame; empty data is the end of the input.
func (s *session) frame(data []byte) error {
	if _, err := fmt.Fprintf(s.ch, "%d\n", len(data)); err != nil {
		return err
	}
	_, err := s.ch.Write(data)
	return err
}

// intake reads ahead, so that many small reads become few s.writing.
type intake struct {
	mu      sync.Mutex
	more    sync.Cond
	pending []byte
	done    bool
	err     error // of the reader; never io.EOF
}

func (in *intake) fill(r io.Reader) {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		in.mu.Lock()
		for len(in.pending) > 0 && len(in.pending)+n > maxFrame && !in.done {
			in.more.Wait()
		}
		in.pending = append(in.pending, buf[:n]...)
		closed := in.done
		in.done = in.done || err != nil
		if err != nil && !errors.Is(err, io.EOF) {
			in.err = err
		}
		in.more.Broadcast()
		in.mu.Unlock()
		if err != nil || closed {
			return
		}
	}
}

// take waits for data; the end is nil and false.
func (in *intake) take() (data []byte, more bool, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.pending) == 0 && !in.done {
		in.more.Wait()
	}
	if in.err != nil {
		return nil, false, in.err
	}
	data = in.pending
	in.pending = nil
	in.more.Broadcast()
	return data, len(data) > 0, nil
}

// close ends both sides; what was not taken is dropped.
func (in *intake) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.done, in.pending = true, nil
	in.more.Broadcast()
}
