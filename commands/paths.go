package commands

import (
	"fmt"
	"os"
	"path/filepath"
)

// Paths are cw's folders, by the XDG base directory specification.
type Paths struct {
	Config string // config.yaml
	State  string // state.db, log/, clusters/
	Cache  string
	Data   string // schema/
}

// newPaths reads the XDG variables; relative values are ignored, as the
// specification says.
func newPaths(getenv func(string) string) (Paths, error) {
	home := getenv("HOME")
	dir := func(variable, fallback string) string {
		if d := getenv(variable); filepath.IsAbs(d) {
			return filepath.Join(d, "cw")
		}
		return filepath.Join(home, fallback, "cw")
	}
	p := Paths{Config: dir("XDG_CONFIG_HOME", ".config"), State: dir("XDG_STATE_HOME", ".local/state"), Cache: dir("XDG_CACHE_HOME", ".cache"), Data: dir("XDG_DATA_HOME", ".local/share")}
	if !filepath.IsAbs(p.State) {
		return p, fmt.Errorf("neither HOME nor XDG_STATE_HOME is set: cw does not know where to keep its state")
	}
	return p, nil
}

// StateDB is the default store.
func (p Paths) StateDB() string { return filepath.Join(p.State, "state.db") }

// LogFile is the structured log.
func (p Paths) LogFile() string { return filepath.Join(p.State, "log", "cw.log") }

// ClusterDir holds what belongs to one cluster: known_hosts, certificates.
func (p Paths) ClusterDir(name string) string { return filepath.Join(p.State, "clusters", name) }

// KnownHosts is the cluster's own known_hosts file.
func (p Paths) KnownHosts(cluster string) string {
	return filepath.Join(p.ClusterDir(cluster), "known_hosts")
}

// ConfigFile is the operator's settings.
func (p Paths) ConfigFile() string { return filepath.Join(p.Config, "config.yaml") }

// SchemaDir holds the JSON Schemas that files written by cw's init commands
// name for editors.
func (p Paths) SchemaDir() string { return filepath.Join(p.Data, "schema") }

func makePrivateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create folder: %w", err)
	}
	return nil
}
