package replace

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/cloud"
	"cw/cloud/fake"
	"cw/fault"
	"cw/perfcheck"
)

// place is a Site whose steps take times, or fail.
type place struct {
	mu     sync.Mutex
	asked  map[string]int
	order  []string
	need   map[string]int // how often it says not yet
	fail   map[string]error
	within func(step string)
}

func newPlace() *place {
	return &place{asked: map[string]int{}, need: map[string]int{"detected": 2, "open": 3, "command": 1, "device": 2, "up": 2}, fail: map[string]error{}}
}

func (p *place) step(name string) (bool, error) {
	p.mu.Lock()
	p.asked[name]++
	p.order = append(p.order, name)
	ok, err := p.asked[name] > p.need[name], p.fail[name]
	p.mu.Unlock()
	if p.within != nil {
		p.within(name)
	}
	return ok, err
}

func (p *place) Fault(context.Context) error            { _, err := p.step("fault"); return err }
func (p *place) Detected(context.Context) (bool, error) { return p.step("detected") }
func (p *place) Open(context.Context, cloud.Machine) error {
	if ok, err := p.step("open"); !ok || err != nil {
		return errors.New("connection refused")
	}
	return nil
}

func (p *place) Command(context.Context, cloud.Machine) error {
	ok, err := p.step("command")
	if err == nil && !ok {
		err = errors.New("not yet")
	}
	return err
}

func (p *place) Ready(context.Context, cloud.Machine) error { _, err := p.step("ready"); return err }

func (p *place) Device(_ context.Context, _ cloud.Machine, v cloud.Volume) (string, error) {
	if ok, err := p.step("device"); !ok || err != nil {
		return "", err
	}
	return v.Device, nil
}

func (p *place) Mount(_ context.Context, _ cloud.Machine, device string) error {
	_, err := p.step("mount " + device)
	return err
}

func (p *place) Measure(_ context.Context, _ cloud.Machine, j Job) (perfcheck.Measurement, error) {
	_, err := p.step("read " + string(j.Kind) + " " + j.Path)
	return perfcheck.Measurement{Values: map[string]float64{"bytes": 1}}, err
}

func (p *place) Start(context.Context, cloud.Machine) error      { _, err := p.step("start"); return err }
func (p *place) Up(context.Context, cloud.Machine) (bool, error) { return p.step("up") }
func (p *place) Close(context.Context, cloud.Machine)            { _, _ = p.step("close") }

func setup(fo fake.Options) (*fake.Cloud, *place, Options) {
	c, p := fake.New(fo), newPlace()
	c.AddSnapshot("snap", "vol-old", 1<<20)
	return c, p, Options{Machines: c, Snapshots: c, Site: p, Name: "new", Snapshot: "snap", Poll: time.Millisecond, Timeout: 20 * time.Second}
}

func byPhase(results []Result) map[string]Result {
	out := map[string]Result{}
	for _, r := range results {
		out[r.Phase] = r
	}
	return out
}

func TestAReplacement(t *testing.T) {
	t.Parallel()
	const launch, restore, attach = 60 * time.Millisecond, 150 * time.Millisecond, 30 * time.Millisecond
	c, p, o := setup(fake.Options{Delays: map[fake.Op]time.Duration{fake.Launch: launch, fake.Restore: restore, fake.Attach: attach}})
	results, made, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	got := byPhase(results)
	if len(got) != len(Tests()) {
		t.Errorf("%d phases, %d tests", len(got), len(Tests()))
	}
	for _, d := range Tests() {
		if r := got[d.ID]; r.Err != nil || r.Without != "" || r.Seconds < 0 || r.Since < r.Seconds && d.ID != ColdReads {
			t.Errorf("%s: %+v", d.ID, r)
		}
	}
	for id, least := range map[string]time.Duration{Running: launch, VolumeAvailable: restore, Attached: attach} {
		if s := got[id].Seconds; s < least.Seconds() {
			t.Errorf("%s took %.3f s, the cloud %s", id, s, least)
		}
	}
	// The volume is made beside the machine: the longer of both is the way.
	if way := got[VolumeAvailable].Since; got[Attached].Since < way || got[Attached].Since > way+got[Running].Since+got[Attached].Seconds {
		t.Errorf("attached %.3f s after the fault, the volume was there after %.3f", got[Attached].Since, way)
	}
	before := func(a, b string) {
		if ia, ib := slices.Index(p.order, a), slices.Index(p.order, b); ia < 0 || ib < 0 || ia > ib {
			t.Errorf("%q does not come before %q in %v", a, b, p.order)
		}
	}
	before("mount /dev/vdc", "read first /dev/vdc")
	before("read first /dev/vdc", "read random /dev/vdc")
	before("read random /dev/vdc", "start")
	before("up", "read all /dev/vdc")
	before("mount /dev/vdc", "ready")
	if err := TidyUp(t.Context(), o, made); err != nil {
		t.Fatal(err)
	}
	if left := c.Left(); !slices.Equal(left, []string{"snap"}) {
		t.Errorf("left %v", left)
	}
}

// What only measures is not on the way.
func TestMeasuringTakesNoTime(t *testing.T) {
	t.Parallel()
	_, p, o := setup(fake.Options{})
	const slow = 200 * time.Millisecond
	p.within = func(step string) {
		if step == "ready" || strings.HasPrefix(step, "read random") {
			time.Sleep(slow) // the time that a step takes, not a synchronisation
		}
	}
	results, _, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	got := byPhase(results)
	var own float64
	for id, r := range got {
		if id != ColdReads {
			own += r.Seconds
		}
	}
	if since := got[Hydrated].Since; since > own+0.001 {
		t.Errorf("%.3f s from the fault, all phases together take %.3f", since, own)
	}
	if got[ColdReads].Seconds < slow.Seconds() {
		t.Errorf("the reads took %.3f s", got[ColdReads].Seconds)
	}
}

func TestWithout(t *testing.T) {
	t.Parallel()
	c, p, o := setup(fake.Options{})
	o.Snapshots = nil
	o.Without = map[string]string{}
	for _, id := range []string{Detected, VolumeAvailable, Attached, Visible, Mounted, FirstByte, ColdReads, Hydrated, DatabaseUp} {
		o.Without[id] = "nobody said how"
	}
	results, made, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	got := byPhase(results)
	if got[FirstCommand].Without != "" || got[Mounted].Without == "" || p.asked["fault"] != 1 || p.asked["detected"] != 0 {
		t.Errorf("%+v, asked %v", got, p.asked)
	}
	if err := TidyUp(t.Context(), o, made); err != nil || len(c.Left()) != 1 {
		t.Errorf("%v %v", err, c.Left())
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cloud fake.Options
		fail  map[string]error
		phase string
		text  string
	}{
		"refused":        {cloud: fake.Options{Refuse: map[fake.Op][]error{fake.Launch: {errors.New("no quota")}}}, phase: Requested, text: "no quota"},
		"does not start": {cloud: fake.Options{Break: map[fake.Op][]string{fake.Launch: {"no host"}}}, phase: Running, text: "no host"},
		"volume fails":   {cloud: fake.Options{Break: map[fake.Op][]string{fake.Restore: {"bad snapshot"}}}, phase: VolumeAvailable, text: "bad snapshot"},
		"no slot":        {cloud: fake.Options{Break: map[fake.Op][]string{fake.Attach: {"no slot"}}}, phase: Attached, text: "no slot"},
		"locked out":     {fail: map[string]error{"command": fault.New(fault.Auth, "", "permission denied")}, phase: FirstCommand, text: "permission denied"},
		"mount":          {fail: map[string]error{"mount /dev/vdc": errors.New("wrong fs type")}, phase: Mounted, text: "wrong fs type"},
		"no fault":       {fail: map[string]error{"fault": errors.New("no such machine")}, phase: Detected, text: "no such machine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl, p, o := setup(c.cloud)
			for k, v := range c.fail {
				p.fail[k] = v
			}
			results, made, err := Run(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), c.phase) {
				t.Errorf("%v", err)
			}
			got := byPhase(results)
			if got[c.phase].Err == nil || !errors.Is(got[Hydrated].Err, errSkipped) {
				t.Errorf("%s: %v, hydrated: %v", c.phase, got[c.phase].Err, got[Hydrated].Err)
			}
			if err := TidyUp(t.Context(), o, made); err != nil {
				t.Error(err)
			}
			if left := cl.Left(); !slices.Equal(left, []string{"snap"}) {
				t.Errorf("left %v", left)
			}
		})
	}
}

// Wherever it is stopped, everything that was made is known and goes away.
func TestInterruptedAnywhere(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"detected", "open", "command", "ready", "device", "mount /dev/vdc", "read first /dev/vdc", "start", "up"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			c, p, o := setup(fake.Options{Delays: map[fake.Op]time.Duration{fake.Launch: 3 * time.Millisecond, fake.Restore: 5 * time.Millisecond}})
			stop := errors.New("the person stopped it")
			ctx, cancel := context.WithCancelCause(t.Context())
			p.within = func(step string) {
				if step == at {
					cancel(stop)
				}
			}
			_, made, err := Run(ctx, o)
			if !errors.Is(err, stop) {
				t.Errorf("%v", err)
			}
			if err := TidyUp(t.Context(), o, made); err != nil {
				t.Error(err)
			}
			if left := c.Left(); !slices.Equal(left, []string{"snap"}) {
				t.Errorf("left %v", left)
			}
		})
	}
}

// What will not go at once is deleted again; what never goes is named.
func TestTidyingUpInsists(t *testing.T) {
	t.Parallel()
	no := errors.New("it is being made")
	c, _, o := setup(fake.Options{Refuse: map[fake.Op][]error{fake.DeleteMachine: {no, no}, fake.DeleteVolume: {no}}})
	_, made, err := Run(t.Context(), o)
	if err := errors.Join(err, TidyUp(t.Context(), o, made)); err != nil {
		t.Fatal(err)
	}
	if left := c.Left(); !slices.Equal(left, []string{"snap"}) {
		t.Errorf("left %v", left)
	}
	c, _, o = setup(fake.Options{Refuse: map[fake.Op][]error{fake.DeleteMachine: slices.Repeat([]error{no}, insists)}})
	if _, made, err = Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	err = TidyUp(t.Context(), o, made)
	if !errors.Is(err, no) || !strings.Contains(err.Error(), "machine "+made.Machine.ID+" is left") {
		t.Errorf("%v", err)
	}
	if left := c.Left(); !slices.Contains(left, made.Machine.ID) || slices.Contains(left, made.Volume.ID) {
		t.Errorf("left %v", left)
	}
}

func TestAPhaseHasATimeLimit(t *testing.T) {
	t.Parallel()
	_, p, o := setup(fake.Options{})
	p.need["open"] = 1 << 30
	o.Timeout = 50 * time.Millisecond
	_, _, err := Run(t.Context(), o)
	if fault.KindOf(err) != fault.Unreachable || !strings.Contains(err.Error(), SSHOpen) {
		t.Errorf("%v", err)
	}
}
