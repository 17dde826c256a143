package run

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/ledger"
	"cw/loadspec/source"
	"cw/loadspec/speed"
	"cw/remote"
	"cw/remote/agent"
)

// AgentRole is what a load's agent on another host is called.
const AgentRole = "load"

// hostBeat is how often the hosts are told their share of the limit and tell
// how far they are.
const hostBeat = 250 * time.Millisecond

// startArgs is what a host is told before anything else. Secrets travel in it,
// over SSH's standard input and nowhere else.
type startArgs struct {
	Spec     loadspec.Spec
	Encoding string
	PerHost  int
	Segments []string // addresses to find the way to
	Objects  []sharedObject
	Keys     []aws.Credentials // by SOURCE; empty for anonymous
	Options  source.Options    // those that are plain numbers
	Limit    int64
}

type sharedObject struct {
	source.Object
	Gaps []ledger.Gap
}

type beginArgs struct{ Budget int64 }

type beatArgs struct {
	Limit int64
	Pause bool
}

type beatResult struct {
	Taken   int64 // bytes read from the source
	Bytes   int64 // stored bytes handed out since the start
	Rows    int64
	Failure string // why reading failed
	Kind    fault.Kind
	Hint    string
}

// host is a supplier on another machine.
type host struct {
	a      *agent.Agent
	cancel context.CancelFunc
	last   beatResult // of beat's caller alone
}

// startHost brings cw to a load machine and gives it its share.
func (j *job) startHost(ctx, starting context.Context, name string, share []object) (*host, error) {
	if j.o.Hosts == nil {
		return nil, fault.New(fault.Usage, "", "PARALLEL.HOSTS: no way to hosts here")
	}
	if url, ok := inStores(share); !ok {
		return nil, fault.New(fault.Usage, "put them into an S3 store, or leave PARALLEL: HOSTS out", "%s is a file of this machine: other hosts cannot read it", url)
	}
	target, err := remote.ParseTarget(name)
	if err != nil {
		return nil, err
	}
	for _, src := range j.spec.Sources {
		if file := src.CAFile + src.CustomerKeyFile; file != "" {
			return nil, fault.New(fault.Usage, "leave PARALLEL: HOSTS out", "%s is a file of this machine: other hosts do not have it", file)
		}
	}
	objects := make([]source.Object, len(share))
	for i, o := range share {
		objects[i] = o.Object
	}
	keys, err := j.set.Keys(starting, objects)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	a, err := agent.Start(ctx, j.o.Hosts.Host(target), agent.Options{Binary: j.o.Binary, Role: []string{AgentRole}, OnLog: func(line string) { j.o.Log.Warn("load machine", "host", name, "text", line) }})
	if err != nil {
		cancel()
		return nil, err
	}
	h := &host{a: a, cancel: cancel}
	args := startArgs{
		Spec: j.withColumns(), Encoding: j.encoding, PerHost: j.gp.perHost, Segments: j.gp.segments, Keys: keys, Limit: j.spec.Limit / int64(len(j.spec.Hosts)),
		Options: source.Options{Attempts: j.o.Source.Attempts, Backoff: j.o.Source.Backoff, Stall: j.o.Source.Stall, RangeSize: j.o.Source.RangeSize, Ahead: j.o.Source.Ahead},
	}
	args.Spec.Conn = loadspec.Conn{} // not theirs to know
	args.Spec.Warnings = nil
	for _, o := range share {
		args.Objects = append(args.Objects, sharedObject{Object: o.Object, Gaps: o.gaps})
	}
	if err := a.Call(starting, "start", args, nil); err != nil {
		h.stop(ctx)
		return nil, err
	}
	return h, nil
}

func (h *host) begin(ctx context.Context, budget int64) (urls []string, err error) {
	return urls, h.a.Call(ctx, "begin", beginArgs{budget}, &urls)
}

func (h *host) end(ctx context.Context) (r handed, err error) {
	return r, h.a.Call(ctx, "end", nil, &r)
}

// beat tells the host its share of the limit and takes what it has done since
// the last beat.
func (h *host) beat(ctx context.Context, b beatArgs) (since beatResult, err error) {
	var r beatResult
	if err := h.a.Call(ctx, "beat", b, &r); err != nil {
		return since, err
	}
	since = beatResult{Taken: r.Taken - h.last.Taken, Bytes: r.Bytes - h.last.Bytes, Rows: r.Rows - h.last.Rows}
	h.last = r
	return since, nil
}

// beatHosts keeps the hosts at the job's limit and their numbers in the job's,
// until the context ends.
func (j *job) beatHosts(ctx context.Context, hosts []*host) {
	tick := time.NewTicker(hostBeat)
	defer tick.Stop()
	rates := make([]int64, len(hosts))
	workers := make([]Worker, len(hosts))
	for {
		shares := speed.Share(j.limiter.Rate(), rates)
		for i, h := range hosts {
			since, err := h.beat(ctx, beatArgs{Limit: shares[i], Pause: j.limiter.Paused()})
			if err != nil {
				rates[i] = 0 // whoever runs the statement learns it from the segments
			} else {
				rates[i] = int64(float64(since.Taken) / hostBeat.Seconds())
				j.state.elsewhere(since)
			}
			workers[i] = Worker{Host: h.a.Host(), Rate: rates[i], Bytes: h.last.Taken, Silent: err != nil}
		}
		if j.o.Workers != nil {
			j.o.Workers(workers)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (h *host) failure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var r beatResult
	if err := h.a.Call(ctx, "fault", nil, &r); err != nil {
		return err // it is gone, which is a failure as well
	}
	if r.Failure == "" {
		return nil
	}
	return fault.New(r.Kind, r.Hint, "%s: %s", h.a.Host(), r.Failure)
}

func (h *host) stop(ctx context.Context) {
	h.a.Close(ctx)
	h.cancel()
}

// ServeAgent is the far side: it serves a share of a load to the segments
// until its input ends.
func ServeAgent(ctx context.Context, in io.Reader, out io.Writer, log *slog.Logger) error {
	f := &farSide{log: log, ctx: ctx}
	defer f.stop()
	return agent.Serve(ctx, in, out, map[string]agent.Handler{
		"start": f.start, "begin": f.begin, "end": f.end, "beat": f.beat, "fault": f.fault,
	})
}

// farSide is a load machine's part of a job.
type farSide struct {
	ctx context.Context //nolint:containedctx // the server lives longer than the call that starts it
	log *slog.Logger

	mu sync.Mutex
	j  *job
	s  *server
}

var errNotStarted = errors.New("not started")

func (f *farSide) start(ctx context.Context, data json.RawMessage) (any, error) {
	var args startArgs
	if err := json.Unmarshal(data, &args); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	spec := args.Spec
	spec.Limit = args.Limit
	o := args.Options
	for i := range spec.Sources {
		spec.Sources[i].Profile, spec.Sources[i].RoleARN, spec.Sources[i].ExternalID = "", "", "" // the keys have come along
	}
	o.CredentialsOf = func(source int) aws.CredentialsProvider {
		if source >= len(args.Keys) || args.Keys[source].AccessKeyID == "" {
			return nil
		}
		k := args.Keys[source]
		return credentials.NewStaticCredentialsProvider(k.AccessKeyID, k.SecretAccessKey, k.SessionToken)
	}
	j := newJob(Options{Spec: &spec, Source: o, Log: f.log})
	j.encoding, j.columns = args.Encoding, spec.Columns
	for _, s := range args.Objects {
		j.objects = append(j.objects, object{Object: s.Object, gaps: s.Gaps})
	}
	j.gp = &greenplum{perHost: args.PerHost}
	var err error
	if j.gp.addrs, err = wayTo(ctx, args.Segments, nil); err != nil {
		return nil, err
	}
	s, err := j.startServer(f.ctx)
	if err != nil {
		return nil, err
	}
	f.j, f.s = j, s
	return nil, nil //nolint:nilnil // there is nothing to say
}

func (f *farSide) server() (*server, *job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.s == nil {
		return nil, nil, errNotStarted
	}
	return f.s, f.j, nil
}

func (f *farSide) begin(ctx context.Context, data json.RawMessage) (any, error) {
	var args beginArgs
	if err := json.Unmarshal(data, &args); err != nil {
		return nil, err
	}
	s, _, err := f.server()
	if err != nil {
		return nil, err
	}
	return s.begin(ctx, args.Budget)
}

func (f *farSide) end(ctx context.Context, _ json.RawMessage) (any, error) {
	s, _, err := f.server()
	if err != nil {
		return nil, err
	}
	return s.end(ctx)
}

func (f *farSide) beat(_ context.Context, data json.RawMessage) (any, error) {
	var args beatArgs
	if err := json.Unmarshal(data, &args); err != nil {
		return nil, err
	}
	_, j, err := f.server()
	if err != nil {
		return nil, err
	}
	j.limiter.SetRate(args.Limit)
	j.limiter.Pause(args.Pause)
	p := j.state.progress()
	return beatResult{Taken: j.limiter.Taken(), Bytes: p.Bytes, Rows: p.Rows}, nil
}

func (f *farSide) fault(ctx context.Context, _ json.RawMessage) (any, error) {
	s, _, err := f.server()
	if err != nil {
		return nil, err
	}
	var r beatResult
	if err := s.failure(ctx); err != nil {
		r.Failure, r.Kind, r.Hint = err.Error(), fault.KindOf(err), fault.HintOf(err)
	}
	return r, nil
}

func (f *farSide) stop() {
	if s, _, err := f.server(); err == nil {
		s.stop(f.ctx)
	}
}
