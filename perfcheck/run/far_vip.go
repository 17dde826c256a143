package run

import (
	"context"

	"cw/perfcheck/vip"
	"cw/remote/agent"
)

// opVIP begins the calls of vip.Client and vip.Holder.
const opVIP = "vip."

// vipHandlers answer for a virtual address on the agent's machine.
func vipHandlers(eye *vip.Eye, seat *vip.Seat) map[string]agent.Handler {
	return map[string]agent.Handler{
		opVIP + "inuse":  handler(eye.InUse),
		opVIP + "begin":  handler(eye.Begin),
		opVIP + "finish": handler(eye.Finish),
		opVIP + "listen": handler(seat.Listen),
		opVIP + "take":   handler(func(ctx context.Context, quiet bool) (any, error) { return nil, seat.Take(ctx, quiet) }),
		opVIP + "drop":   handler(func(ctx context.Context, _ any) (any, error) { return nil, seat.Drop(ctx) }),
		opVIP + "down":   handler(func(ctx context.Context, _ any) (any, error) { return nil, seat.Down(ctx) }),
		opVIP + "up":     handler(func(ctx context.Context, _ any) (any, error) { return nil, seat.Up(ctx) }),
	}
}

// farEye is a vip.Client behind an agent.
type farEye struct{ a *agent.Agent }

// InUse implements vip.Client.
func (e farEye) InUse(ctx context.Context, address string) (mac string, err error) {
	return mac, e.a.Call(ctx, opVIP+"inuse", address, &mac)
}

// Begin implements vip.Client.
func (e farEye) Begin(ctx context.Context, a vip.ClientArgs) (holder int, err error) {
	return holder, e.a.Call(ctx, opVIP+"begin", a, &holder)
}

// Finish implements vip.Client.
func (e farEye) Finish(ctx context.Context, holder int) (s vip.Seen, err error) {
	return s, e.a.Call(ctx, opVIP+"finish", holder, &s)
}

// farSeat is a vip.Holder behind an agent.
type farSeat struct{ a *agent.Agent }

// Listen implements vip.Holder.
func (s farSeat) Listen(ctx context.Context, a vip.HolderArgs) (l vip.Listening, err error) {
	return l, s.a.Call(ctx, opVIP+"listen", a, &l)
}

// Take implements vip.Holder.
func (s farSeat) Take(ctx context.Context, quiet bool) error {
	return s.a.Call(ctx, opVIP+"take", quiet, nil)
}

// Drop implements vip.Holder.
func (s farSeat) Drop(ctx context.Context) error { return s.a.Call(ctx, opVIP+"drop", nil, nil) }

// Down implements vip.Holder.
func (s farSeat) Down(ctx context.Context) error { return s.a.Call(ctx, opVIP+"down", nil, nil) }

// Up implements vip.Holder.
func (s farSeat) Up(ctx context.Context) error { return s.a.Call(ctx, opVIP+"up", nil, nil) }
