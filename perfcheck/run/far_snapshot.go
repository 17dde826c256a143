package run

import (
	"context"
	"encoding/json"
	"time"

	"cw/perfcheck/snapshot"
	"cw/remote/agent"
)

// opSnapshot begins the calls of snapshot.Host.
const opSnapshot = "snapshot."

// Arguments of the calls that take more than one.
type (
	openArgs      struct{ Dir, Name string }
	overwriteArgs struct {
		Blocks int64
		Seed   uint64
	}
	verifyArgs struct{ Dir, Moment string }
)

func newSnapshotSet() *snapshot.Set { return &snapshot.Set{Health: watchHealth} }

// snapshotHandlers answer for a volume on the agent's machine.
func snapshotHandlers(s *snapshot.Set) map[string]agent.Handler {
	return map[string]agent.Handler{
		opSnapshot + "open": handler(func(ctx context.Context, a openArgs) (snapshot.Opened, error) { return s.Open(ctx, a.Dir, a.Name) }),
		opSnapshot + "fill": handler(func(ctx context.Context, a snapshot.FillArgs) (any, error) {
			return nil, s.Fill(ctx, a, func(done, total int64) { agent.Note(ctx, prepareNote{done, total}) })
		}),
		opSnapshot + "overwrite": handler(func(ctx context.Context, a overwriteArgs) (any, error) {
			return nil, s.Overwrite(ctx, a.Blocks, a.Seed)
		}),
		opSnapshot + "capacity": handler(func(ctx context.Context, d time.Duration) (float64, error) { return s.Capacity(ctx, d) }),
		opSnapshot + "begin":    handler(func(ctx context.Context, a snapshot.ProbeArgs) (any, error) { return nil, s.Begin(ctx, a) }),
		opSnapshot + "mark":     handler(func(ctx context.Context, m snapshot.Mark) (any, error) { return nil, s.Mark(ctx, m) }),
		opSnapshot + "end":      handler(func(ctx context.Context, _ any) (snapshot.ProbeResult, error) { return s.End(ctx) }),
		opSnapshot + "first":    handler(func(ctx context.Context, dir string) (any, error) { return nil, s.FirstByte(ctx, dir) }),
		opSnapshot + "read":     handler(func(ctx context.Context, dir string) (snapshot.ReadResult, error) { return s.ReadAll(ctx, dir) }),
		opSnapshot + "verify": handler(func(ctx context.Context, a verifyArgs) (snapshot.Verified, error) {
			return s.Verify(ctx, a.Dir, a.Moment)
		}),
		opSnapshot + "close": handler(func(ctx context.Context, _ any) (any, error) { return nil, s.Close(ctx) }),
	}
}

// farVolume is a snapshot.Host behind an agent.
type farVolume struct{ a *agent.Agent }

// Open implements snapshot.Host.
func (v farVolume) Open(ctx context.Context, dir, name string) (o snapshot.Opened, err error) {
	return o, v.a.Call(ctx, opSnapshot+"open", openArgs{dir, name}, &o)
}

// Fill implements snapshot.Host.
func (v farVolume) Fill(ctx context.Context, a snapshot.FillArgs, on func(done, total int64)) error {
	return v.a.Watch(ctx, opSnapshot+"fill", a, func(data json.RawMessage) {
		var n prepareNote
		if json.Unmarshal(data, &n) == nil && on != nil {
			on(n.Done, n.Total)
		}
	}, nil)
}

// Overwrite implements snapshot.Host.
func (v farVolume) Overwrite(ctx context.Context, blocks int64, seed uint64) error {
	return v.a.Call(ctx, opSnapshot+"overwrite", overwriteArgs{blocks, seed}, nil)
}

// Capacity implements snapshot.Host.
func (v farVolume) Capacity(ctx context.Context, d time.Duration) (rate float64, err error) {
	return rate, v.a.Call(ctx, opSnapshot+"capacity", d, &rate)
}

// Begin implements snapshot.Host.
func (v farVolume) Begin(ctx context.Context, a snapshot.ProbeArgs) error {
	return v.a.Call(ctx, opSnapshot+"begin", a, nil)
}

// Mark implements snapshot.Host.
func (v farVolume) Mark(ctx context.Context, m snapshot.Mark) error {
	return v.a.Call(ctx, opSnapshot+"mark", m, nil)
}

// End implements snapshot.Host.
func (v farVolume) End(ctx context.Context) (r snapshot.ProbeResult, err error) {
	return r, v.a.Call(ctx, opSnapshot+"end", nil, &r)
}

// FirstByte implements snapshot.Host.
func (v farVolume) FirstByte(ctx context.Context, dir string) error {
	return v.a.Call(ctx, opSnapshot+"first", dir, nil)
}

// ReadAll implements snapshot.Host.
func (v farVolume) ReadAll(ctx context.Context, dir string) (r snapshot.ReadResult, err error) {
	return r, v.a.Call(ctx, opSnapshot+"read", dir, &r)
}

// Verify implements snapshot.Host.
func (v farVolume) Verify(ctx context.Context, dir, moment string) (r snapshot.Verified, err error) {
	return r, v.a.Call(ctx, opSnapshot+"verify", verifyArgs{dir, moment}, &r)
}

// Close implements snapshot.Host.
func (v farVolume) Close(ctx context.Context) error {
	return v.a.Call(ctx, opSnapshot+"close", nil, nil)
}
