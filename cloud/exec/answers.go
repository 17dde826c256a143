package exec

import (
	"fmt"
	"slices"
	"time"

	"cw/cloud"
)

type snapshot struct {
	ID       string      `json:"id"`
	Volume   string      `json:"volume"`
	Parent   string      `json:"parent"`
	Kind     cloud.Kind  `json:"kind"`
	State    cloud.State `json:"state"`
	Captured bool        `json:"captured"`
	Progress *float64    `json:"progress"`
	Size     *int64      `json:"size"`
	Total    *int64      `json:"total"`
	Created  time.Time   `json:"created"`
	Problem  string      `json:"problem"`
}

func (s snapshot) read() (cloud.Snapshot, error) {
	out := cloud.Snapshot{
		ID: s.ID, Volume: s.Volume, Parent: s.Parent, Kind: s.Kind, State: s.State, Captured: s.Captured || s.State == cloud.Available,
		Progress: -1, Size: size(s.Size), Total: size(s.Total), Created: s.Created, Problem: s.Problem,
	}
	if s.Progress != nil {
		out.Progress = *s.Progress
	}
	if !slices.Contains([]cloud.Kind{cloud.Auto, cloud.Full, cloud.Incremental}, s.Kind) {
		return out, fmt.Errorf("kind %q is not known: full, incremental or none", s.Kind)
	}
	if out.Progress > 1 {
		return out, fmt.Errorf("progress %v is more than 1", out.Progress)
	}
	return out, known("snapshot", s.ID, s.State, cloud.Pending, cloud.Available, cloud.Failed, cloud.Gone)
}

type volume struct {
	ID      string      `json:"id"`
	State   cloud.State `json:"state"`
	Machine string      `json:"machine"`
	Device  string      `json:"device"`
	Size    *int64      `json:"size"`
	Problem string      `json:"problem"`
}

func (v volume) read() (cloud.Volume, error) {
	return cloud.Volume{ID: v.ID, State: v.State, Machine: v.Machine, Device: v.Device, Size: size(v.Size), Problem: v.Problem},
		known("volume", v.ID, v.State, cloud.Pending, cloud.Available, cloud.InUse, cloud.Failed, cloud.Gone)
}

type machine struct {
	ID      string      `json:"id"`
	State   cloud.State `json:"state"`
	Address string      `json:"address"`
	Problem string      `json:"problem"`
}

func (m machine) read() (cloud.Machine, error) {
	return cloud.Machine{ID: m.ID, State: m.State, Address: m.Address, Problem: m.Problem},
		known("machine", m.ID, m.State, cloud.Pending, cloud.InUse, cloud.Available, cloud.Failed, cloud.Gone)
}

// known refuses an answer that says nothing.
func known(what, id string, is cloud.State, may ...cloud.State) error {
	if id == "" {
		return fmt.Errorf("the %s has no id", what)
	}
	if !slices.Contains(may, is) {
		return fmt.Errorf("state %q of %s %s is none of %q", is, what, id, may)
	}
	return nil
}

// size is what was told, Unknown when nothing was, or nonsense.
func size(n *int64) int64 {
	if n == nil || *n < 0 {
		return cloud.Unknown
	}
	return *n
}
