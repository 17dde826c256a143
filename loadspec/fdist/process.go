package fdist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a transformation's command at work, in a process group of its
// own, which ends with it.
type process struct {
	t    *transform
	cmd  *exec.Cmd
	said *firstBytes // stderr, for the segment
	list string      // file of names, of CONTENT: paths
	stop func() bool

	once sync.Once
	err  error
}

// killAfter is how long a command has to clear up when it is told to end.
const killAfter = 2 * time.Second

// start runs a command with one end of a pipe as its stdin or stdout. It is
// ended with the context.
func (t *transform) start(ctx context.Context, dir, file string, console io.Writer) (*process, *os.File, error) {
	args := t.argv(file)
	p := &process{t: t, cmd: exec.Command(args[0], args[1:]...)} //nolint:noctx,gosec // ended by group, not by pid; the operator's own command
	p.cmd.Dir = dir
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := r, w
	if t.output {
		ours, theirs = w, r
		p.cmd.Stdin = r
	} else {
		p.cmd.Stdout = w
	}
	if t.console {
		p.cmd.Stderr = console
	} else {
		p.said = &firstBytes{}
		p.cmd.Stderr = p.said
	}
	p.cmd.WaitDelay = killAfter // a child of the child may keep stderr open
	err = p.cmd.Start()
	_ = theirs.Close()
	if err != nil {
		_ = ours.Close()
		return nil, nil, &StatusError{Code: 500, Reason: "transformation " + t.name + ": " + err.Error(), Err: err}
	}
	p.stop = context.AfterFunc(ctx, func() { p.kill(); _ = ours.Close() })
	return p, ours, nil
}

// check makes sure that the command can be started, before anything is
// promised.
func (t *transform) check(dir string) error {
	name := t.command[0]
	if strings.Contains(name, "/") && !strings.HasPrefix(name, "/") {
		name = dir + "/" + name
	}
	if _, err := exec.LookPath(name); err != nil {
		return &StatusError{Code: 500, Reason: "transformation " + t.name + ": " + err.Error(), Err: err}
	}
	return nil
}

// kill ends the process group, kindly first.
func (p *process) kill() {
	pid := p.cmd.Process.Pid
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	time.AfterFunc(killAfter, func() { _ = syscall.Kill(-pid, syscall.SIGKILL) })
}

// wait returns when the command has ended: its exit status counts, where
// gpfdist only logs it, and so does, as with gpfdist, an input command's word
// on stderr.
func (p *process) wait() error {
	p.once.Do(func() {
		err := p.cmd.Wait()
		p.stop()
		if p.list != "" {
			_ = os.Remove(p.list)
		}
		said := ""
		if p.said != nil {
			said = strings.TrimRight(p.said.String(), "\r\n ")
		}
		switch {
		case err != nil && !errors.Is(err, exec.ErrWaitDelay):
			p.err = fmt.Errorf("transformation %s: %s: %w", p.t.name, p.t.command[0], err)
			if said != "" {
				p.err = fmt.Errorf("%s (transformation %s: %w)", said, p.t.name, err)
			}
		case said != "" && !p.t.output:
			p.err = errors.New(said)
		}
	})
	return p.err
}

// firstBytes keeps as much of a command's words as fits into an answer.
type firstBytes struct {
	mu sync.Mutex
	b  []byte
}

func (f *firstBytes) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.b = append(f.b, p[:min(len(p), maxError-len(f.b))]...)
	return len(p), nil
}

func (f *firstBytes) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return string(f.b)
}

// Inputs makes the Transform of FileInputs. What commands with STDERR: console
// say goes to console.
func (t *Transforms) Inputs(console io.Writer) func(ctx context.Context, r *Request, files []string) ([]Input, error) {
	return func(_ context.Context, r *Request, files []string) ([]Input, error) {
		e, err := t.find(r, false, files)
		if err == nil {
			err = e.check(t.dir)
		}
		if err != nil {
			return nil, err
		}
		if e.paths {
			in := Input{Name: strings.Join(files, " "), Open: func(ctx context.Context) (io.ReadCloser, error) {
				list, err := listFile(files)
				if err != nil {
					return nil, err
				}
				return e.open(ctx, t.dir, list, list, console)
			}}
			return []Input{in}, nil
		}
		inputs := make([]Input, len(files))
		for i, file := range files {
			inputs[i] = Input{Name: file, Open: func(ctx context.Context) (io.ReadCloser, error) {
				return e.open(ctx, t.dir, file, "", console)
			}}
		}
		return inputs, nil
	}
}

// listFile writes the names of files into one.
func listFile(files []string) (string, error) {
	f, err := os.CreateTemp("", "cw-paths-*")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(strings.Join(files, "\n") + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

func (t *transform) open(ctx context.Context, dir, file, list string, console io.Writer) (io.ReadCloser, error) {
	p, out, err := t.start(ctx, dir, file, console)
	if err != nil {
		return nil, err
	}
	p.list = list
	return &processReader{p: p, out: out}, nil
}

// processReader reads what a command writes.
type processReader struct {
	p   *process
	out *os.File
	end bool
}

func (r *processReader) Read(b []byte) (int, error) {
	n, err := r.out.Read(b)
	if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) {
		r.end = true
		if failed := r.p.wait(); failed != nil {
			err = failed
		}
	}
	return n, err
}

// Close ends the command if it has not ended by itself.
func (r *processReader) Close() error {
	_ = r.out.Close()
	if !r.end {
		r.p.kill()
	}
	_ = r.p.wait()
	return nil
}

// Outputs makes the Transform of FileOutputs.
func (t *Transforms) Outputs(console io.Writer) func(ctx context.Context, r *Request, target string) (Output, error) {
	return func(ctx context.Context, r *Request, target string) (Output, error) {
		e, err := t.find(r, true, []string{target})
		if err != nil {
			return nil, err
		}
		list := ""
		if e.paths {
			if list, err = listFile([]string{target}); err != nil {
				return nil, err
			}
			target = list
		}
		p, in, err := e.start(ctx, t.dir, target, console)
		if err != nil {
			return nil, err
		}
		p.list = list
		return &processOutput{p: p, in: in}, nil
	}
}

// processOutput writes into a command.
type processOutput struct {
	p  *process
	in *os.File

	mu     sync.Mutex
	failed error
}

func (o *processOutput) Append(_ context.Context, _ int, rows []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil {
		return o.failed
	}
	if _, err := o.in.Write(rows); err != nil {
		// It has ended; its own words are better than "broken pipe".
		_ = o.in.Close()
		if ended := o.p.wait(); ended != nil {
			err = ended
		}
		o.failed = &StatusError{Code: 500, Reason: reason(err), Err: err}
	}
	return o.failed
}

// Publish ends the command's input and waits for its verdict.
func (o *processOutput) Publish(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.in.Close()
	if err := o.p.wait(); err != nil {
		return &StatusError{Code: 500, Reason: reason(err), Err: err}
	}
	return nil
}

// Abort ends the command; what it has done cannot be taken back.
func (o *processOutput) Abort(context.Context) error {
	o.p.kill()
	_ = o.in.Close()
	_ = o.p.wait()
	return nil
}
