package gpcheckperf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"cw/fault"
	"cw/perfcheck/disk"
	"cw/perfcheck/run"
)

// Env is what the program works with.
type Env struct {
	Out, Err io.Writer
	// Argv0 is how the program was called.
	Argv0   string
	Version string
	Now     func() time.Time
	// Machine finds the machine that a host of the list is. A machine that
	// is this one has no way there.
	Machine func(host string) (run.Machine, error)
	Agent   run.FleetOptions
	// Hostname is a machine's own name, by which several names of one are
	// found out; nil asks the machine.
	Hostname func(*run.Member) string
	// Memory is the memory of this machine in bytes: twice it is the default
	// size of the disk test, as in gpcheckperf.
	Memory int64
	// Seed is that of the data that is written.
	Seed uint64
}

// interrupted is the exit code after Ctrl-C. gpcheckperf's own is 0, which
// calls an unfinished measurement a good one.
const interrupted = 130

// Run is the program: it returns its exit code.
func Run(ctx context.Context, env Env, args []string) int {
	p := printer{env.Out}
	o, err := parse(args, env.Version)
	var early *stop
	if errors.As(err, &early) {
		_, _ = io.WriteString(env.Out, early.out)
		_, _ = io.WriteString(env.Err, early.err)
		return early.code
	}
	hosts := o.hosts
	if o.hostFile != "" {
		data, err := os.ReadFile(o.hostFile)
		if err != nil {
			_, _ = fmt.Fprintf(env.Err, "[Error] cannot read the host file: %v\n", err)
			return 1
		}
		if hosts = hostLines(string(data)); len(hosts) == 0 {
			_, _ = fmt.Fprintln(env.Err, "Error: missing hosts in -h and/or -f arguments")
			return 1
		}
	}
	if o.size == 0 {
		o.size = 2 * env.Memory / int64(len(o.dirs))
	}
	o.size = max(o.size/o.block, 1) * o.block
	if !o.durationOK {
		p.line("[INFO] Invalid network duration specified.  Using default (15 seconds)")
	}
	p.line("%s", quoted(append([]string{env.Argv0}, args...)))
	b := &bench{env: env, o: o, p: p, names: hosts}
	err = b.run(ctx)
	switch {
	case ctx.Err() != nil:
		p.line("[Abort] Keyboard Interrupt ...")
		return interrupted
	case err != nil:
		_, _ = fmt.Fprintf(env.Err, "[Error] %v\n", err)
		if hint := fault.HintOf(err); hint != "" {
			_, _ = fmt.Fprintf(env.Err, "        hint: %s\n", hint)
		}
		return 1
	}
	return 0
}

// bench is one call of the program.
type bench struct {
	env   Env
	o     *options
	p     printer
	names []string
	fleet *run.Fleet

	write, read, stream []result
	net                 []flow
}

// run does the tests and prints the results of those that were done, also
// when one fails.
func (b *bench) run(ctx context.Context) (err error) {
	if err := b.setup(ctx); err != nil {
		b.teardown(ctx)
		return err
	}
	err = b.tests(ctx)
	b.teardown(ctx)
	b.p.resultHeading(b.env.Now())
	b.p.results("disk write", b.write, b.o.perHost)
	b.p.results("disk read", b.read, b.o.perHost)
	b.p.results("stream", b.stream, b.o.perHost)
	switch {
	case len(b.net) == 0:
	case b.o.net == matrix:
		b.p.matrix(b.net, b.hostname, b.o.verbose)
	default:
		b.p.flows(b.net)
	}
	return err
}

// info is a line of the verbose mode.
func (b *bench) info(format string, args ...any) {
	if b.o.verbose {
		b.p.line("[Info] "+format, args...)
	}
}

// instead says what gpcheckperf would have done by gpssh in its place. The
// line has the shape that scripts look for.
func (b *bench) instead(what string) {
	words := []string{"gpssh"}
	if b.o.veryVerb {
		words = append(words, "-v")
	}
	if b.o.hostFile != "" {
		words = append(words, "-f", b.o.hostFile)
	} else {
		for _, h := range b.o.hosts {
			words = append(words, "-h", h)
		}
	}
	b.info("cw's agents do it in place of: %s", quoted(append(words, what)))
}

// setup brings cw to the hosts.
func (b *bench) setup(ctx context.Context) error {
	if b.o.verbose {
		b.p.banner("SETUP " + isoformat(b.env.Now()))
	}
	b.info("making gpcheckperf directory on all hosts ... ")
	var machines []run.Machine
	for _, name := range b.names {
		m, err := b.env.Machine(name)
		if err != nil {
			return err
		}
		m.Name = name // the label of the results, as it was given
		machines = append(machines, m)
	}
	var err error
	if b.fleet, err = run.StartFleet(ctx, machines, b.env.Agent); err != nil {
		return err
	}
	var down []error
	for _, m := range b.fleet.Members() {
		if err := m.Err(); err != nil {
			down = append(down, fmt.Errorf("unable to run on %s: %w", m.Name, err))
		} else {
			b.info("cw runs on %s (%s)", m.Name, m.Hello.Hostname)
		}
	}
	return errors.Join(down...)
}

func (b *bench) teardown(ctx context.Context) {
	if b.o.verbose {
		b.p.banner("TEARDOWN")
	}
	if b.fleet != nil {
		b.fleet.Close(context.WithoutCancel(ctx))
		b.info("cw and its files are removed from all hosts")
	}
}

func (b *bench) tests(ctx context.Context) error {
	if b.o.disk {
		b.p.line("[Warning] Using %d bytes for disk performance test. This might take some time", b.o.size*int64(len(b.o.dirs)))
		if err := b.diskTests(ctx); err != nil {
			return err
		}
	}
	if b.o.stream {
		if err := b.streamTest(ctx); err != nil {
			return err
		}
	}
	if b.o.net != noNet {
		return b.netTest(ctx)
	}
	return nil
}

// machines are the members, one for each machine: gpssh, too, does not log in
// twice to a host that is listed by several of its addresses.
func (b *bench) machines() []*run.Member {
	var out []*run.Member
	seen := map[string]bool{}
	for _, m := range b.fleet.Members() {
		if h := b.hostname(m.Name); !seen[h] {
			seen[h] = true
			out = append(out, m)
		}
	}
	return out
}

// hostname is the machine's own name behind a host of the list.
func (b *bench) hostname(name string) string {
	for _, m := range b.fleet.Members() {
		switch {
		case m.Name != name:
		case b.env.Hostname != nil:
			return b.env.Hostname(m)
		case m.Hello.Hostname != "":
			return m.Hello.Hostname
		}
	}
	return name
}

// every does something on some machines at once; all errors are told.
func every(members []*run.Member, do func(i int, m *run.Member) error) error {
	index := map[*run.Member]int{}
	for i, m := range members {
		index[m] = i
	}
	return errors.Join(run.Each(members, func(m *run.Member) error { return do(index[m], m) })...)
}

// diskTests writes files on all hosts and in all directories at once, then
// reads them.
func (b *bench) diskTests(ctx context.Context) error {
	members := b.machines()
	o := disk.CopyOptions{
		Dirs: b.o.dirs, Block: b.o.block, Bytes: b.o.size, Seed: b.env.Seed, Direct: b.o.direct,
		KeepFree: 64 * mib, AllowRootDisk: true, AllowMemory: true, // gpcheckperf measures what it is pointed at
	}
	if !b.o.direct && b.o.size*int64(len(b.o.dirs)) < 2*b.env.Memory {
		_, _ = fmt.Fprintln(b.env.Err, "[Info] less than twice the memory is read back: it may come from the page cache (--direct-io goes past it, cw perf disk never uses it)")
	}
	if err := every(members, func(_ int, m *run.Member) error { return m.CopyPrepare(ctx, o) }); err != nil {
		return err
	}
	defer func() { // the agents remove what is left of it when they end
		_ = every(members, func(_ int, m *run.Member) error { return m.CopyClose(context.WithoutCancel(ctx)) })
	}()
	files := strings.Join(b.o.dirs, "/cw-perf.* ") + "/cw-perf.*"
	b.p.heading("DISK WRITE TEST")
	b.instead(fmt.Sprintf("multidd -i /dev/zero -o %s -B %d -S %d", files, b.o.block, b.o.size))
	var err error
	if b.write, err = copies(members, func(m *run.Member) (disk.CopyResult, error) { return m.CopyWrite(ctx) }); err != nil {
		return err
	}
	b.p.heading("DISK READ TEST")
	b.instead(fmt.Sprintf("multidd -o /dev/null -i %s -B %d -S %d", files, b.o.block, b.o.size))
	b.read, err = copies(members, func(m *run.Member) (disk.CopyResult, error) { return m.CopyRead(ctx) })
	return err
}

func copies(members []*run.Member, do func(*run.Member) (disk.CopyResult, error)) ([]result, error) {
	out := make([]result, len(members))
	err := every(members, func(i int, m *run.Member) error {
		r, err := do(m)
		if err == nil {
			out[i] = result{m.Name, float64(r.Bytes) / r.Seconds / mib, r.Seconds, r.Bytes}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
