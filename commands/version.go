package commands

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionInfo is what `cw version` prints. The linker sets nothing: the Go
// build information has it all.
type versionInfo struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Date    string `json:"date,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func readVersion() versionInfo {
	v := versionInfo{Version: "devel", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Date = s.Value
		}
	}
	return v
}

func newVersion(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs, Long: "Print the version, and what it was built from." + exitHelp(),
		Example: "  cw version\n  cw version -o json",
		RunE: func(*cobra.Command, []string) error {
			v := readVersion()
			t := table{cols: cols("VERSION", "COMMIT", "DATE", "GO", "OS", "ARCH")}
			t.add(v.Version, v.Commit, v.Date, v.Go, v.OS, v.Arch)
			return a.print(object("Version", v), t)
		},
	}
}
