package hostprep

import (
	"context"
	"encoding/json"
	"path"

	"cw/fault"
)

// MarkerFile lies in every folder that cw made for a node. A folder without
// it, or with another cluster's, is never touched.
const MarkerFile = "cw-node.json"

// Marker is the content of MarkerFile.
type Marker struct {
	Cluster string   `json:"cluster"`
	UID     string   `json:"uid"` // of the cluster: names can be used again, this cannot
	Node    string   `json:"node"`
	Run     string   `json:"run"`               // that made the folder
	Created []string `json:"created,omitempty"` // folders above that were made too, deepest last
	ByRoot  bool     `json:"by_root,omitempty"` // root had to make them
}

// The states of a node's folder.
const (
	DirAbsent     = "absent"
	DirEmpty      = "empty"
	DirOurs       = "ours"       // carries our marker
	DirForeign    = "foreign"    // not empty, no marker or another's
	DirUnreadable = "unreadable" // or no folder at all
)

// Dir is what is known of a node's folder on a host.
type Dir struct {
	State    string
	Marker   Marker // of DirOurs and of other clusters' folders
	Contents string // a few names, of DirForeign
}

// Foreign is the error of a folder that is not ours to touch.
func Foreign(host, dir string, d Dir) error {
	if d.State == DirUnreadable {
		return fault.New(fault.Check, "look at it on the host, or set another layout.data_dirs", "%s: %s cannot be used as a data folder: %s", host, dir, d.Contents)
	}
	return fault.New(fault.Check, "empty it or move it away, or set another layout.data_dirs", "%s: data directory %s is not empty and not this cluster's: it holds %s", host, dir, d.Contents)
}

// LookDir says whose a folder is. want is compared by UID and Node.
func (f *Fleet) LookDir(ctx context.Context, host, as, dir string, want Marker) (Dir, error) {
	found, err := f.LookDirs(ctx, host, as, []Claim{{dir, want}})
	if err != nil {
		return Dir{}, err
	}
	return found[0], nil
}

// Claim makes a node's folder for user owner and puts the marker into it. The
// owner makes it where it may, else root does and gives it away.
func (f *Fleet) Claim(ctx context.Context, host, owner, dir string, m Marker) error {
	return f.ClaimAll(ctx, host, owner, []Claim{{dir, m}})
}

// Unclaim removes the folders above a node's own that Claim had to make, as
// far as they are empty. That one stays is no failure: others may use it now.
func (f *Fleet) Unclaim(ctx context.Context, host, owner string, m Marker) {
	f.UnclaimAll(ctx, host, owner, []Marker{m})
}

// WriteMarker puts the marker into a folder.
func (f *Fleet) WriteMarker(ctx context.Context, host, owner, dir string, m Marker) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return f.WriteFile(ctx, host, owner, path.Join(dir, MarkerFile), append(data, '\n'), 0o600)
}
