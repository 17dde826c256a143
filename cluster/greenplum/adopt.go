package greenplum

import (
	"path"
	"strings"

	"cw/cluster"
	"cw/cluster/step"
)

// Adopt makes the folders beside the data directories that say whose they
// are. The servers go on meanwhile.
func (e *Engine) Adopt() ([]step.Step, error) {
	var steps []step.Step
	for _, h := range e.hosts() {
		s := e.claimStep(h, e.lay.On(h))
		s.Title, s.Needs = "mark the data directories of "+names(e.lay.On(h)), nil
		steps = append(steps, s)
	}
	return steps, nil
}

// adopted says whether somebody else made a node: its data directory is not
// inside its folder.
func adopted(n cluster.Node) bool { return !strings.HasPrefix(n.DataDir, path.Clean(n.Dir)+"/") }
