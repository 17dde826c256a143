package step

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// The states of a step in a plan that was looked at but not run.
const (
	Pending = "pending" // would be applied
	Unclear = "unclear" // Check failed; running it would fail too
)

// View is a plan as people and programs read it.
type View struct {
	Cluster string    `json:"cluster"`
	Verb    string    `json:"verb"`
	Pending int       `json:"pending"` // steps that would be applied
	Done    int       `json:"done"`    // steps found done already
	Steps   []Planned `json:"steps"`
}

// Planned is one step of a View.
type Planned struct {
	ID              string   `json:"id"`
	Host            string   `json:"host,omitempty"`
	Title           string   `json:"title"`
	Needs           []string `json:"needs,omitempty"`
	After           []string `json:"after,omitempty"`
	Destructive     bool     `json:"destructive,omitempty"`
	PointOfNoReturn bool     `json:"point_of_no_return,omitempty"`
	State           string   `json:"state"`
	Observed        string   `json:"observed,omitempty"`
	Error           string   `json:"error,omitempty"`
}

// Look runs the Check of every step, changes nothing and returns the plan in
// its order. At most limit checks run at once; 0 is 16.
func Look(ctx context.Context, p Plan, limit int) (View, error) {
	steps, err := Order(p.Steps)
	if err != nil {
		return View{}, err
	}
	v := View{Cluster: p.Cluster, Verb: p.Verb, Steps: make([]Planned, len(steps))}
	slots := make(chan struct{}, orElse(limit, 16))
	var wg sync.WaitGroup
	for i, s := range steps {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			v.Steps[i] = s.view(ctx)
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return v, err
	}
	for _, s := range v.Steps {
		if s.State == Done {
			v.Done++
		} else {
			v.Pending++
		}
	}
	return v, nil
}

func (s Step) view(ctx context.Context) Planned {
	v := Planned{ID: s.ID, Host: s.Host, Title: s.Title, Needs: s.Needs, After: s.After, Destructive: s.Destructive, PointOfNoReturn: s.PointOfNoReturn, State: Pending}
	seen, err := s.look(ctx)
	v.Observed = seen.Note
	switch {
	case err != nil:
		v.State, v.Error = Unclear, err.Error()
	case seen.Done:
		v.State = Done
	}
	return v
}

// WriteText prints the plan for people: one line per step, those that are
// done already only counted.
func (v View) WriteText(w io.Writer) error {
	width := len("HOST")
	for _, s := range v.Steps {
		width = max(width, len(s.Host))
	}
	if _, err := fmt.Fprintf(w, "Plan: %s %s, %d steps to do, %d done already\n", v.Verb, v.Cluster, v.Pending, v.Done); err != nil {
		return err
	}
	n := 0
	for _, s := range v.Steps {
		if s.State == Done {
			continue
		}
		n++
		host, mark, note := s.Host, " ", ""
		if host == "" {
			host = "-"
		}
		if s.Destructive {
			mark = "!"
		}
		if s.State == Unclear {
			note = " (unclear: " + s.Error + ")"
		} else if s.Observed != "" {
			note = " (now: " + s.Observed + ")"
		}
		if s.PointOfNoReturn {
			note += " [point of no return]"
		}
		if _, err := fmt.Fprintf(w, "%s %3d  %-*s  %s%s\n", mark, n, width, host, s.Title, note); err != nil {
			return err
		}
	}
	return nil
}
