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
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"cw/fault"
	"cw/remote"
)

// homeVariable tells an agent where to keep what it would keep at home: in
// its folder.
const homeVariable = "XDG_STATE_HOME"

// FolderPrefix begins the names of the folders that agents live in.
const FolderPrefix = "cw-agent."

// Options say what is run.
type Options struct {
	// Binary is this program for the host: a file or a release archive of cw
	// (.tar.gz). "" is the running one, or for a host of another kind what
	// lies beside it.
	Binary string
	Role   []string // arguments after "agent"
	// As is the OS user that it runs as there; "" is the SSH user. The folder
	// is the SSH user's.
	As    string
	OnLog func(line string)
}

// Agent is a program on another host, or a child process on this one, that
// answers calls.
type Agent struct {
	name   string
	remove func(ctx context.Context) // takes its folder away
	in     *io.PipeWriter
	cancel context.CancelCauseFunc
	ended  chan struct{}
	err    error // why it ended, once ended is closed

	mu      sync.Mutex
	next    int64
	waiting map[int64]*waiter
}

// waiter waits for the answer to a call.
type waiter struct {
	answer chan reply
	note   func(json.RawMessage)
}

type call struct {
	ID   int64           `json:"id"`
	Op   string          `json:"op"`
	Args json.RawMessage `json:"args,omitempty"`
}

// Operations that every agent knows.
const (
	opPing   = "ping"   // a sign of life; answered with the clock
	opCancel = "cancel" // ends the call whose id is the argument
)

type reply struct {
	ID     int64           `json:"id"`
	Note   json.RawMessage `json:"note,omitempty"` // said before the answer; more may follow
	Result json.RawMessage `json:"result,omitempty"`
	Error  *failure        `json:"error,omitempty"`
}

// failure carries an error with its kind and hint.
type failure struct {
	Kind fault.Kind `json:"kind"`
	Text string     `json:"text"`
	Hint string     `json:"hint,omitempty"`
}

// Both sides give signs of life, so that a line that is dead but was never
// closed is noticed: the control side pings, the far side ends without pings.
const (
	pingEvery   = 3 * time.Second
	pingTimeout = 20 * time.Second
	watchdog    = 30 * time.Second
)

// makeFolder makes a private folder and prints its name. mktemp's folders
// belong to their maker alone.
const makeFolder = `umask 077; mktemp -d "${TMPDIR:-/tmp}/` + FolderPrefix + `XXXXXXXXXX"`

// Start brings the program to the host and starts it. The context ends it.
func Start(ctx context.Context, h *remote.Host, o Options) (*Agent, error) {
	binary, done, err := binaryFor(ctx, h, o.Binary)
	if err != nil {
		return nil, err
	}
	defer done()
	made, err := h.Run(ctx, remote.Cmd{Args: []string{"/bin/sh", "-c", makeFolder}})
	if err != nil {
		return nil, fmt.Errorf("%s: make a folder for cw: %w", h.Name(), err)
	}
	dir := strings.TrimSpace(string(made.Stdout))
	remove := func(ctx context.Context) {
		_, _ = h.Run(ctx, remote.Cmd{Args: []string{"rm", "-rf", "--", dir}})
	}
	a := newAgent(h.Name(), remove)
	program := path.Join(dir, "cw")
	if err := h.Push(ctx, binary, program, remote.FileOptions{Mode: 0o700}); err != nil {
		a.tidy(ctx)
		return nil, fmt.Errorf("%s: bring cw there: %w", h.Name(), err)
	}
	a.run(ctx, func(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
		_, err := h.Run(ctx, remote.Cmd{
			Args: append([]string{program, "agent"}, o.Role...), Dir: dir, As: o.As,
			// What it would leave at home goes with the folder.
			Env:   []string{homeVariable + "=" + dir + "/home", "XDG_CONFIG_HOME=" + dir + "/home"},
			Stdin: stdin, Stdout: stdout, Stderr: &lines{on: o.OnLog},
		})
		return err
	})
	return a, nil
}

// StartHere starts the program as a child process of this one. It has a
// private folder for its home, and needs nothing pushed.
func StartHere(ctx context.Context, name string, o Options) (*Agent, error) {
	program := o.Binary
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("find cw's own file: %w", err)
		}
	}
	dir, err := os.MkdirTemp("", FolderPrefix)
	if err != nil {
		return nil, fmt.Errorf("make a folder for cw: %w", err)
	}
	_ = os.Symlink(program, filepath.Join(dir, "cw")) // marks it as in use, see Leftovers
	a := newAgent(name, func(context.Context) { _ = os.RemoveAll(dir) })
	a.run(ctx, func(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
		cmd := exec.CommandContext(ctx, program, append([]string{"agent"}, o.Role...)...)
		cmd.Args[0] = "cw" // not the name of a personality
		if o.As == "root" && os.Getuid() != 0 {
			cmd = exec.CommandContext(ctx, "sudo", append([]string{"-n", "--preserve-env=" + homeVariable + ",XDG_CONFIG_HOME", "--", filepath.Join(dir, "cw"), "agent"}, o.Role...)...)
		}
		cmd.Env = append(os.Environ(), homeVariable+"="+dir+"/home", "XDG_CONFIG_HOME="+dir+"/home")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, &lines{on: o.OnLog}
		// A Ctrl-C at the terminal is for the one that asked; a group of its
		// own keeps it from the agent, which is told to stop and tidies up.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = endGrace
		return cmd.Run()
	})
	return a, nil
}

func newAgent(name string, remove func(context.Context)) *Agent {
	return &Agent{name: name, remove: remove, ended: make(chan struct{}), waiting: map[int64]*waiter{}}
}

// run starts the program and listens to it.
func (a *Agent) run(ctx context.Context, program func(ctx context.Context, stdin io.Reader, stdout io.Writer) error) {
	ctx, a.cancel = context.WithCancelCause(ctx)
	stdin, in := io.Pipe()
	stdout, out := io.Pipe()
	a.in = in
	go func() {
		err := program(ctx, stdin, out)
		_ = stdin.Close()
		_ = out.CloseWithError(io.EOF)
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		if err == nil {
			err = errors.New("it has ended")
		}
		a.err = fmt.Errorf("cw on host %s: %w", a.name, err)
		close(a.ended)
	}()
	go a.receive(stdout)
	go a.alive(ctx)
}

// alive gives signs of life until the agent ends, and ends it when it no
// longer answers them.
func (a *Agent) alive(ctx context.Context) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-a.ended:
			return
		}
		limit, cancel := context.WithTimeout(ctx, pingTimeout)
		err := a.Call(limit, opPing, nil, nil)
		late := err != nil && limit.Err() != nil && ctx.Err() == nil
		cancel()
		if late {
			a.cancel(fault.New(fault.Unreachable, "", "it has not answered for %s", pingTimeout))
			return
		}
	}
}

// receive hands answers to those who wait for them.
func (a *Agent) receive(r io.Reader) {
	dec := json.NewDecoder(r)
	for {
		var got reply
		if err := dec.Decode(&got); err != nil {
			if !errors.Is(err, io.EOF) {
				a.cancel(fmt.Errorf("it speaks no sense: %w", err))
			}
			_, _ = io.Copy(io.Discard, r)
			return
		}
		a.mu.Lock()
		wait := a.waiting[got.ID]
		if got.Note == nil {
			delete(a.waiting, got.ID)
		}
		a.mu.Unlock()
		switch {
		case wait == nil:
		case got.Note == nil:
			wait.answer <- got
		case wait.note != nil:
			wait.note(got.Note)
		}
	}
}

// Host is the host's name.
func (a *Agent) Host() string { return a.name }

// Ended is closed when the program has ended.
func (a *Agent) Ended() <-chan struct{} { return a.ended }

// Err says why the program ended, once Ended is closed.
func (a *Agent) Err() error { return a.err }

// Call asks the agent for op and waits for its answer, which goes into result
// unless that is nil.
func (a *Agent) Call(ctx context.Context, op string, args, result any) error {
	return a.Watch(ctx, op, args, nil, result)
}

// Watch is Call, and hears what the agent says with Note meanwhile. note is
// called in order, by one goroutine, which no answer can pass while it runs.
func (a *Agent) Watch(ctx context.Context, op string, args any, note func(json.RawMessage), result any) error {
	data, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("call %s: %w", op, err)
	}
	wait := &waiter{answer: make(chan reply, 1), note: note}
	a.mu.Lock()
	a.next++
	id := a.next
	a.waiting[id] = wait
	a.mu.Unlock()
	sent := make(chan error, 1)
	go func() { sent <- a.send(call{ID: id, Op: op, Args: data}) }()
	for {
		select {
		case err := <-sent:
			if err != nil {
				<-a.ended
				return a.err
			}
			sent = nil
		case got := <-wait.answer:
			if f := got.Error; f != nil {
				return fault.New(f.Kind, f.Hint, "%s: %s", a.name, f.Text)
			}
			if result == nil {
				return nil
			}
			return json.Unmarshal(got.Result, result)
		case <-a.ended:
			return a.err
		case <-ctx.Done():
			go func() { _ = a.send(call{Op: opCancel, Args: fmt.Append(nil, id)}) }()
			return context.Cause(ctx)
		}
	}
}

func (a *Agent) send(c call) error {
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = a.in.Write(append(line, '\n')) // a pipe's writes do not mix
	return err
}

// Clock asks how far the agent's clock is ahead of this one's: of several
// questions the one that was answered fastest counts, and its round trip
// bounds the error.
func (a *Agent) Clock(ctx context.Context) (ahead, within time.Duration, err error) {
	const questions = 8
	within = time.Hour
	for range questions {
		var there time.Time
		sent := time.Now()
		if err := a.Call(ctx, opPing, nil, &there); err != nil {
			return 0, 0, err
		}
		if took := time.Since(sent); took < within {
			within = took
			ahead = there.Sub(sent.Add(took / 2).Round(0))
		}
	}
	return ahead, within, nil
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
	a.tidy(ctx)
}

// tidy takes the folder away where the agent could not.
func (a *Agent) tidy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endGrace)
	defer cancel()
	a.remove(ctx)
}
