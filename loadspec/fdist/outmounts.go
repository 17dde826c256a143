package fdist

import (
	"context"
	"strings"
)

// OutputMounts puts other places below the folder that files are written to.
type OutputMounts struct {
	Files  *FileOutputs // nil: only the mounts are written to
	Mounts []OutputMount
}

// OutputMount is a place that is not in the file system. Its Outputs get
// requests whose path is what follows the prefix.
type OutputMount struct {
	Prefix  string // first folders of the paths, without slashes around
	Outputs Outputs
}

// Create begins the output in the place that the path belongs to.
func (m *OutputMounts) Create(ctx context.Context, r *Request) (Output, error) {
	var best *OutputMount
	rest := ""
	for i := range m.Mounts {
		one := &m.Mounts[i]
		if after, ok := strings.CutPrefix(r.Path, one.Prefix+"/"); ok && (best == nil || len(one.Prefix) > len(best.Prefix)) {
			best, rest = one, after
		}
	}
	switch {
	case best != nil && r.Transform != "":
		return nil, bad("a #transform writes files of the server's folder only")
	case best != nil:
		below := *r
		below.Path = rest
		return best.Outputs.Create(ctx, &below)
	case m.Files == nil:
		return nil, &StatusError{Code: 404, Reason: "file not found: only " + m.prefixes() + " can be written to"}
	}
	return m.Files.Create(ctx, r)
}

func (m *OutputMounts) prefixes() string {
	names := make([]string, len(m.Mounts))
	for i, one := range m.Mounts {
		names[i] = one.Prefix + "/"
	}
	return strings.Join(names, ", ")
}

// Published is that of the files.
func (m *OutputMounts) Published(key string) bool { return m.Files != nil && m.Files.Published(key) }

// Only serves the paths below some prefixes, and no others.
type Only struct {
	Inputs   Inputs
	Prefixes []string
}

// Open refuses paths that are not below a prefix.
func (o Only) Open(ctx context.Context, r *Request) (Blocks, error) {
	for name := range strings.SplitSeq(r.Path, " ") {
		found := false
		for _, p := range o.Prefixes {
			found = found || strings.HasPrefix(name, p+"/")
		}
		if !found {
			return nil, &StatusError{Code: 404, Reason: "file not found: only " + strings.Join(o.Prefixes, "/, ") + "/ can be read"}
		}
	}
	return o.Inputs.Open(ctx, r)
}
