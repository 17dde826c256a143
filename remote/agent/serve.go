package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"cw/fault"
)

// Handler answers one kind of call.
type Handler func(ctx context.Context, args json.RawMessage) (any, error)

// Serve answers calls from in on out until in ends, which is how the other
// side's end, however it came, is told here. Calls run at the same time; their
// context ends with the input.
func Serve(ctx context.Context, in io.Reader, out io.Writer, handlers map[string]Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	enc := json.NewEncoder(out)
	answer := func(r reply) {
		mu.Lock()
		defer mu.Unlock()
		_ = enc.Encode(r) // who does not hear it has gone, which the input tells
	}
	dec := json.NewDecoder(bufio.NewReader(in))
	for {
		var c call
		if err := dec.Decode(&c); err != nil {
			cancel()
			all.Wait()
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			return fmt.Errorf("read a call: %w", err)
		}
		h := handlers[c.Op]
		if h == nil {
			answer(reply{ID: c.ID, Error: &failure{Kind: fault.Usage, Text: "unknown call " + c.Op}})
			continue
		}
		all.Go(func() {
			result, err := h(ctx, c.Args)
			r := reply{ID: c.ID}
			if err == nil {
				r.Result, err = json.Marshal(result)
			}
			if err != nil {
				r.Error = &failure{Kind: fault.KindOf(err), Text: err.Error(), Hint: fault.HintOf(err)}
			}
			answer(r)
		})
	}
}

// RemoveSelf takes away the folder that the running program was pushed into.
// A program that lives elsewhere is left alone.
func RemoveSelf() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	dir := filepath.Dir(exe)
	if !strings.HasPrefix(filepath.Base(dir), FolderPrefix) {
		return nil
	}
	return os.RemoveAll(dir)
}

// sameArch compares uname -m with what this program is made for.
func sameArch(machine string) bool {
	names := map[string]string{"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
	return names[machine] == runtime.GOARCH
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
