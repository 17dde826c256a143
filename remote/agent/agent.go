// Package agent runs cw itself on another host: it is pushed into a private
// folder there, started over SSH, spoken to in JSON lines over the session's
// standard streams, and gone with its folder when either side ends. Whatever
// cuts the line, the far side notices: its input ends, and the command
// wrapper of package remote ends what does not.
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"cw/fault"
	"cw/remote"
)

// FolderPrefix begins the names of the folders that agents live in.
const FolderPrefix = "cw-agent."

// Options say what is run.
type Options struct {
	Binary string   // this program's file for the host; "" the running one
	Role   []string // arguments after "agent"
	OnLog  func(line string)
}

// Agent is a program on another host that answers calls.
type Agent struct {
	host   *remote.Host
	dir    string
	in     *io.PipeWriter
	cancel context.CancelCauseFunc
	ended  chan struct{}
	err    error // why it ended, once ended is closed

	mu      sync.Mutex
	next    int64
	waiting map[int64]chan reply
}

type call struct {
	ID   int64           `json:"id"`
	Op   string          `json:"op"`
	Args json.RawMessage `json:"args,omitempty"`
}

type reply struct {
	ID     int64           `json:"id"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *failure        `json:"error,omitempty"`
}

// failure carries an error with its kind and hint.
type failure struct {
	Kind fault.Kind `json:"kind"`
	Text string     `json:"text"`
	Hint string     `json:"hint,omitempty"`
}

// makeFolder makes a private folder and prints its name. mktemp's folders
// belong to their maker alone.
const makeFolder = `umask 077; mktemp -d "${TMPDIR:-/tmp}/` + FolderPrefix + `XXXXXXXXXX"`

// Start brings the program to the host and starts it. The context ends it.
func Start(ctx context.Context, h *remote.Host, o Options) (*Agent, error) {
	binary, err := binaryFor(ctx, h, o.Binary)
	if err != nil {
		return nil, err
	}
	made, err := h.Run(ctx, remote.Cmd{Args: []string{"/bin/sh", "-c", makeFolder}})
	if err != nil {
		return nil, fmt.Errorf("%s: make a folder for cw: %w", h.Name(), err)
	}
	a := &Agent{host: h, dir: strings.TrimSpace(string(made.Stdout)), ended: make(chan struct{}), waiting: map[int64]chan reply{}}
	program := path.Join(a.dir, "cw")
	if err := h.Push(ctx, binary, program, remote.FileOptions{Mode: 0o700}); err != nil {
		a.remove(ctx)
		return nil, fmt.Errorf("%s: bring cw there: %w", h.Name(), err)
	}
	ctx, a.cancel = context.WithCancelCause(ctx)
	stdin, in := io.Pipe()
	stdout, out := io.Pipe()
	a.in = in
	go func() {
		_, err := h.Run(ctx, remote.Cmd{
			Args: append([]string{program, "agent"}, o.Role...), Dir: a.dir,
			// What it would leave at home goes with the folder.
			Env:   []string{"XDG_STATE_HOME=" + a.dir + "/home", "XDG_CONFIG_HOME=" + a.dir + "/home"},
			Stdin: stdin, Stdout: out, Stderr: &lines{on: o.OnLog},
		})
		_ = out.CloseWithError(io.EOF)
		if err == nil {
			err = errors.New("it has ended")
		}
		a.err = fmt.Errorf("cw on host %s: %w", h.Name(), err)
		close(a.ended)
	}()
	go a.receive(stdout)
	return a, nil
}

// receive hands answers to those who wait for them.
func (a *Agent) receive(r io.Reader) {
	dec := json.NewDecoder(r)
	for {
		var got reply
		if err := dec.Decode(&got); err != nil {
			if !errors.Is(err, io.EOF) {
				a.cancel(fmt.Errorf("cw on host %s: speaks no sense: %w", a.host.Name(), err))
			}
			_, _ = io.Copy(io.Discard, r)
			return
		}
		a.mu.Lock()
		wait := a.waiting[got.ID]
		delete(a.waiting, got.ID)
		a.mu.Unlock()
		if wait != nil {
			wait <- got
		}
	}
}

// Host is the host's name.
func (a *Agent) Host() string { return a.host.Name() }

// Call asks the agent for op and waits for its answer, which goes into result
// unless that is nil.
func (a *Agent) Call(ctx context.Context, op string, args, result any) error {
	data, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("call %s: %w", op, err)
	}
	wait := make(chan reply, 1)
	a.mu.Lock()
	a.next++
	id := a.next
	a.waiting[id] = wait
	line, err := json.Marshal(call{ID: id, Op: op, Args: data})
	a.mu.Unlock()
	if err != nil {
		return fmt.Errorf("call %s: %w", op, err)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := a.in.Write(append(line, '\n'))
		sent <- err
	}()
	for {
		select {
		case err := <-sent:
			if err != nil {
				<-a.ended
				return a.err
			}
			sent = nil
		case got := <-wait:
			if f := got.Error; f != nil {
				return fault.New(f.Kind, f.Hint, "%s: %s", a.host.Name(), f.Text)
			}
			if result == nil {
				return nil
			}
			return json.Unmarshal(got.Result, result)
		case <-a.ended:
			return a.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// endGrace is how long an agent may take to end by itself.
const endGrace = 5 * time.Second

// Close ends the agent and removes what it left, also when ctx is over.
func (a *Agent) Close(ctx context.Context) {
	_ = a.in.Close()
	select {
	case <-a.ended:
	case <-time.After(endGrace):
		a.cancel(errors.New("closed"))
		<-a.ended
	}
	a.cancel(nil)
	a.remove(ctx)
}

// remove takes the folder away where the agent could not.
func (a *Agent) remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endGrace)
	defer cancel()
	_, _ = a.host.Run(ctx, remote.Cmd{Args: []string{"rm", "-rf", "--", a.dir}})
}

// binaryFor finds the program that runs on the host.
func binaryFor(ctx context.Context, h *remote.Host, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find cw's own file: %w", err)
	}
	facts, err := h.Facts(ctx)
	if err != nil {
		return "", err
	}
	if !sameArch(facts.Arch) {
		return "", fault.New(fault.Usage, "use load machines of the same kind as this one", "host %s is %s and cw here is not: it cannot run there", h.Name(), facts.Arch)
	}
	return exe, nil
}
