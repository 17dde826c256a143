package greenplum_test

import (
	"strings"
	"time"
)

// conversation is one session of the database that stays open.
type conversation struct {
	w    *world
	name string
	done chan string
	seen int
}

// talk opens a session. It reads a file as it grows, and writes another.
func (w *world) talk() *conversation {
	w.t.Helper()
	c := &conversation{w: w, done: make(chan string, 1)}
	name, err := w.gp(1, "d=$(mktemp -d /tmp/talkXXXXXX); : >$d/in; : >$d/out; echo $d")
	if err != nil {
		w.t.Fatal(err, name)
	}
	c.name = strings.TrimSpace(name)
	go func() {
		out, err := w.gp(1, "cd "+c.name+"; tail -n +1 -s 0.05 --pid=$$ -f in | sed -u '/^END$/q' | psql -X -q -A -t -d warehouse >out 2>&1")
		if err != nil {
			out += err.Error()
		}
		c.done <- out
	}()
	return c
}

func (c *conversation) say(statements string) {
	c.w.t.Helper()
	if out, err := c.w.gp(1, "cat >>"+c.name+"/in <<'END'\n"+statements+"\nEND\n"); err != nil {
		c.w.t.Fatal(err, out)
	}
}

// hear wants a line as the next answer.
func (c *conversation) hear(want string) {
	c.w.t.Helper()
	var lines []string
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		out, err := c.w.gp(1, "cat "+c.name+"/out")
		if err != nil {
			c.w.t.Fatal(err, out)
		}
		if lines = strings.Split(strings.TrimSpace(out), "\n"); len(lines) > c.seen && lines[0] != "" {
			if got := lines[c.seen]; got != want {
				c.w.t.Errorf("the session says %q, not %q (%q)", got, want, lines)
			}
			c.seen = len(lines)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	c.w.t.Errorf("the session does not answer (%q)", lines)
}

// end closes the session.
func (c *conversation) end() {
	c.w.t.Helper()
	if out, err := c.w.gp(1, "echo END >>"+c.name+"/in"); err != nil {
		c.w.t.Fatal(err, out)
	}
	select {
	case <-c.done:
	case <-time.After(30 * time.Second):
		c.w.t.Error("the session does not end")
	}
}
