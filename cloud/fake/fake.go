// Package fake is a cloud in memory: what is asked for happens after delays
// that are given, or fails as it was told to. It is for tests and for the
// playground; what a machine or a volume is there, hooks say.
package fake

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cw/cloud"
)

// Op is something that the cloud does.
type Op string

// The operations.
const (
	Create        Op = "create" // until a snapshot is available
	Capture       Op = "capture"
	Delete        Op = "delete"
	Restore       Op = "restore"
	Attach        Op = "attach"
	Detach        Op = "detach"
	DeleteVolume  Op = "delete-volume"
	Launch        Op = "launch"
	Stop          Op = "stop"
	DeleteMachine Op = "delete-machine"
	Move          Op = "move-address"
)

// Options script the cloud.
type Options struct {
	Delays map[Op]time.Duration // from the acceptance until it is done; 0 is at once
	// Refuse: the wish is refused with this error, as often as there are
	// some. nil entries let one pass.
	Refuse map[Op][]error
	// Break: it is accepted and fails after its delay, with this text.
	Break map[Op][]string

	// Hooks make it real; nil ones make nothing. They run when the operation
	// is done, in the call that notices.
	OnLaunch        func(ctx context.Context, m cloud.Machine) (address string, err error)
	OnStop          func(ctx context.Context, m cloud.Machine) error
	OnDeleteMachine func(ctx context.Context, m cloud.Machine) error
	OnRestore       func(ctx context.Context, s cloud.Snapshot, v cloud.Volume) error
	OnAttach        func(ctx context.Context, v cloud.Volume, m cloud.Machine) (device string, err error)
	OnDetach        func(ctx context.Context, v cloud.Volume) error
	OnDeleteVolume  func(ctx context.Context, v cloud.Volume) error
	OnMove          func(ctx context.Context, address, machine string) error

	Now func() time.Time // nil is time.Now
}

// Cloud implements cloud.Snapshotter, cloud.Machines and cloud.Addresses.
type Cloud struct {
	mu sync.Mutex
	o  Options
	n  int

	snapshots map[string]*snapshot
	volumes   map[string]*volume
	machines  map[string]*machine
	addresses map[string]string
	log       []string
}

type snapshot struct {
	cloud.Snapshot
	captured, done time.Time
	broken         string
}

type volume struct {
	cloud.Volume
	from   string // the snapshot
	to     string // the machine it goes to, "-" when it leaves one
	done   time.Time
	broken string
}

type machine struct {
	cloud.Machine
	done   time.Time
	broken string
}

// New makes a cloud without anything in it.
func New(o Options) *Cloud {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Cloud{o: o, snapshots: map[string]*snapshot{}, volumes: map[string]*volume{}, machines: map[string]*machine{}, addresses: map[string]string{}}
}

// AddVolume puts a volume there, as if it had always been.
func (c *Cloud) AddVolume(id, machine, device string, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := cloud.Volume{ID: id, State: cloud.Available, Machine: machine, Device: device, Size: size}
	if machine != "" {
		v.State = cloud.InUse
	}
	c.volumes[id] = &volume{Volume: v}
}

// AddSnapshot puts a snapshot there.
func (c *Cloud) AddSnapshot(id, of string, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.snapshots[id] = &snapshot{Snapshot: cloud.Snapshot{ID: id, Volume: of, Kind: cloud.Full, State: cloud.Available, Captured: true, Progress: 1, Size: size, Total: size, Created: c.o.Now()}}
}

// AddMachine puts a running machine there.
func (c *Cloud) AddMachine(id, address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.machines[id] = &machine{Machine: cloud.Machine{ID: id, State: cloud.InUse, Address: address}}
}

// Left are the things that are not deleted, for tests of tidiness.
func (c *Cloud) Left() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var left []string
	for id := range c.snapshots {
		left = append(left, id)
	}
	for id := range c.volumes {
		left = append(left, id)
	}
	for id := range c.machines {
		left = append(left, id)
	}
	return left
}

// Log are the wishes in the order they came.
func (c *Cloud) Log() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.log...)
}

// errGone is for what is not there.
var errGone = errors.New("there is no such thing")

// begin takes a wish: refused, or when it is done and how it breaks.
func (c *Cloud) begin(ctx context.Context, op Op, about string) (done time.Time, broken string, err error) {
	if ctx.Err() != nil {
		return done, "", context.Cause(ctx)
	}
	c.log = append(c.log, string(op)+" "+about)
	if list := c.o.Refuse[op]; len(list) > 0 {
		c.o.Refuse[op] = list[1:]
		if list[0] != nil {
			return done, "", fmt.Errorf("fake cloud: %s %s: %w", op, about, list[0])
		}
	}
	if list := c.o.Break[op]; len(list) > 0 {
		broken, c.o.Break[op] = list[0], list[1:]
	}
	return c.o.Now().Add(c.o.Delays[op]), broken, nil
}

func (c *Cloud) id(prefix string) string {
	c.n++
	return fmt.Sprintf("%s-%d", prefix, c.n)
}

// over tells whether something that was begun is done.
func (c *Cloud) over(done time.Time) bool { return !done.IsZero() && !c.o.Now().Before(done) }
