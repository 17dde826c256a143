package cluster

import (
	"slices"
	"strings"
)

// The ways to drive an engine with segments: engine.via.
const (
	ViaNative    = "native"    // the engine's own programs and SQL
	ViaUtilities = "utilities" // the management utilities that come with it
)

// products are the major versions that cw runs of each product with segments,
// and those that it runs natively.
var products = map[string]struct{ all, native []string }{ //nolint:gochecknoglobals // constant table
	Greenplum:  {all: []string{GreenplumMajor, "7"}, native: []string{GreenplumMajor}},
	Cloudberry: {all: []string{"1", "2"}},
}

// ByUtilities says whether the engine's own utilities do the work.
func (e Engine) ByUtilities() bool { return e.Via == ViaUtilities }

// defaultVia is native wherever cw can do without the utilities.
func (e Engine) defaultVia() string {
	p := products[e.Kind]
	if e.Kind == Postgres || len(p.native) > 0 && (e.Version == "" || slices.Contains(p.native, e.Version) || !slices.Contains(p.all, e.Version)) {
		return ViaNative
	}
	return ViaUtilities
}

// Majors are the major versions that may be found on the hosts.
func (e Engine) Majors() []string {
	p := products[e.Kind]
	if e.Version != "" {
		return []string{e.Version}
	}
	if e.ByUtilities() {
		return p.all
	}
	return p.native
}

// Product is the engine's name and the versions that may be found, in words.
func (e Engine) Product() string {
	name := map[string]string{Postgres: "PostgreSQL", Greenplum: "Greenplum", Cloudberry: "Cloudberry"}[e.Kind]
	return strings.TrimSpace(name + " " + strings.Join(e.Majors(), " or "))
}

// validateProduct checks version and way of an engine with segments.
func (p *parser) validateProduct(e Engine) {
	of := products[e.Kind]
	switch {
	case e.Version != "" && !slices.Contains(of.all, e.Version):
		p.add([]any{"engine", "version"}, "%s %s is not supported by this version of cw: %s is", e.Kind, e.Version, strings.Join(of.all, " or "))
	case !e.ByUtilities() && len(of.native) == 0:
		p.add([]any{"engine", "via"}, "%s is driven by its own utilities: write utilities, or leave via out", e.Kind)
	case !e.ByUtilities() && e.Version != "" && !slices.Contains(of.native, e.Version):
		p.add([]any{"engine", "via"}, "%s %s is driven by its own utilities: write utilities, or leave via out", e.Kind, e.Version)
	}
}
