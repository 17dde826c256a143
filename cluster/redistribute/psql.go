package redistribute

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// StatementError is what the server said about a statement.
type StatementError struct {
	Code    string // SQLSTATE
	Message string
}

func (e *StatementError) Error() string { return e.Message }

// Psql is a Session over a psql that reads statements from a pipe. Its options
// are -X -q -A -t, and its standard error goes where its output does.
type Psql struct {
	in        *io.PipeWriter
	lines     chan string     // of its output; closed at its end
	ended     chan struct{}   // closed when the program is over
	endErr    error           // why, to be read after ended
	life      context.Context // of the program
	kill      context.CancelFunc
	terminate func(ctx context.Context, pid int) error
	mark      string
	pid       int

	mu     sync.Mutex
	broken error
}

// endPatience is how long a session may take to end after it was told to.
const endPatience = 20 * time.Second

// StartPsql starts run, which is psql with the two pipes until it ends or its
// context does, and waits for its server. terminate ends a server process of
// the same server.
func StartPsql(ctx context.Context, run func(ctx context.Context, stdin io.Reader, stdout io.Writer) error, terminate func(ctx context.Context, pid int) error) (*Psql, error) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	p := &Psql{in: inW, lines: make(chan string, 64), ended: make(chan struct{}), life: life, kill: kill, terminate: terminate, mark: "cw-" + rand.Text() + "-"}
	go func() {
		p.endErr = run(life, inR, outW)
		_ = inR.CloseWithError(io.ErrClosedPipe)
		_ = outW.Close()
		close(p.ended)
	}()
	go p.read(outR)
	var pid string
	var said error
	err := p.Exec(ctx, []string{"\\set VERBOSITY verbose\nselect pg_catalog.pg_backend_pid();"}, func(_ int, out string, err error) { pid, said = out, err })
	if err = errors.Join(err, said); err == nil {
		p.pid, err = strconv.Atoi(pid)
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Psql) read(r io.Reader) {
	defer close(p.lines)
	b := bufio.NewReader(r)
	for {
		line, err := b.ReadString('\n')
		if line != "" {
			p.lines <- strings.TrimSuffix(line, "\n")
		}
		if err != nil {
			return
		}
	}
}

// Exec makes it a Session.
func (p *Psql) Exec(ctx context.Context, statements []string, each func(i int, out string, err error)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return p.broken
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	var text strings.Builder
	for i, s := range statements {
		fmt.Fprintf(&text, "%s\n\\echo %s%d\n", s, p.mark, i)
	}
	go func() { _, _ = io.WriteString(p.in, text.String()) }() // both pipes may be full
	var said []string
	for i := 0; i < len(statements); {
		select {
		case line, more := <-p.lines:
			switch {
			case !more:
				p.broken = p.lost(said)
				return p.broken
			case line != p.mark+strconv.Itoa(i):
				said = append(said, line)
			default:
				out, err := parseSaid(said)
				if each != nil {
					each(i, out, err)
				}
				said, i = nil, i+1
			}
		case <-ctx.Done():
			p.broken = context.Cause(ctx)
			p.end(ctx, true)
			return p.broken
		}
	}
	return nil
}

// lost says why there is no session any more.
func (p *Psql) lost(said []string) error {
	<-p.ended
	text := strings.TrimSpace(strings.Join(said, " "))
	switch {
	case p.endErr != nil && text != "":
		return fmt.Errorf("the session of the database ended: %s: %w", text, p.endErr)
	case p.endErr != nil:
		return fmt.Errorf("the session of the database ended: %w", p.endErr)
	}
	return fmt.Errorf("the session of the database ended: %s", text)
}

// end ends the session: with now the server's process at once, and what was
// not begun is not begun.
func (p *Psql) end(ctx context.Context, now bool) {
	go func() {
		for range p.lines {
		}
	}()
	if now && p.pid != 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
		_ = p.terminate(ctx, p.pid)
		cancel()
	}
	_ = p.in.Close()
	timer := time.NewTimer(endPatience)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.kill()
		<-p.ended
	}
	p.kill()
}

// Close makes it a Session.
func (p *Psql) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken == nil {
		p.broken = errors.New("the session is closed")
		p.end(p.life, false)
	}
	p.kill()
}

// parseSaid tells an error from what a statement printed. psql says, when it
// is told to be verbose, ERROR:  42P01: text, and then lines that explain.
func parseSaid(lines []string) (string, error) {
	for i, l := range lines {
		for _, level := range []string{"ERROR:  ", "FATAL:  ", "PANIC:  "} {
			rest, ok := strings.CutPrefix(l, level)
			if !ok || len(rest) < 7 || rest[5:7] != ": " {
				continue
			}
			e := &StatementError{Code: rest[:5], Message: rest[7:]}
			for _, more := range lines[i+1:] {
				if d, ok := strings.CutPrefix(more, "DETAIL:  "); ok {
					e.Message += " (" + strings.TrimSpace(d) + ")"
				}
			}
			return strings.Join(lines[:i], "\n"), e
		}
	}
	return strings.Join(lines, "\n"), nil
}

// one runs one statement and returns what it printed.
func one(ctx context.Context, s Session, statement string) (string, error) {
	var out string
	var said error
	err := s.Exec(ctx, []string{statement}, func(_ int, o string, e error) { out, said = o, e })
	if err == nil {
		err = said
	}
	return out, err
}

// all runs statements; the first error is the result, the others run all the same.
func all(ctx context.Context, s Session, statements ...string) error {
	var first error
	err := s.Exec(ctx, statements, func(_ int, _ string, e error) {
		if first == nil {
			first = e
		}
	})
	return errors.Join(err, first)
}
