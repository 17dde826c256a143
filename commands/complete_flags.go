package commands

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cw/cloud/drivers"
	"cw/cluster"
	"cw/monitor/report"
	"cw/perfcheck/run"
	"cw/state"
	"cw/tui"
)

// flagRule says which words a flag takes, below a command.
type flagRule struct {
	under string // beginning of the command's path
	flag  string
	words completer
}

// flagRules are looked through in order; the first that fits counts.
func flagRules() []flagRule {
	return []flagRule{
		{"cw", "output", fixed("table\tcolumns for people", "wide\ttable with all columns", "json\tone document, or a line each", "yaml\tthe same as YAML", "csv\tall columns with a heading")},
		{"cw", "progress", fixed("auto\ttty on a terminal, else plain", "tty\tlines that change", "plain\ta line for each change", "json\ta JSON object for each change", "off\tnothing")},
		{"cw", "cluster", clusterWords},
		{"cw", "db-cluster", clusterWords},
		{"cw perf", "host", noWords}, // any machine
		{"cw", "host", hostWords},
		{"cw", "job", jobWords},
		{"cw", "baseline", baselineWords},
		{"cw perf snapshot", "profile", fixed("quick", "standard", "soak")},
		{"cw perf", "profile", fixed(run.Profiles()...)},
		{"cw cluster", "profile", fixed(cluster.ProfileNames()...)},
		{"cw cluster size", "engine", fixed(cluster.Greenplum, "cloudberry", cluster.Postgres)},
		{"cw cluster", "engine", fixed(cluster.Postgres, cluster.Greenplum)},
		{"cw perf", "engine", noWords},
		{"cw cluster", "mode", fixed("smart\twaits for clients", "fast\tends their sessions", "immediate\tdrops everything")},
		{"cw perf vip", "mode", fixed("planned", "unplanned")},
		{"cw cluster", "order", fixed("smallest", "largest")},
		{"cw cluster", "scope", fixed(cluster.ScopeAll, cluster.ScopeCoordinator, cluster.ScopeSegments)},
		{"cw cluster", "become", fixed("sudo", "none")},
		{"cw cluster", "host-key", fixed("accept-new", "strict")},
		{"cw cluster size", "mirrors", fixed("group", "spread", "none")},
		{"cw cluster size", "raid", fixed("none", "10", "5")},
		{"cw cluster size", "node-type", fixed(cluster.LowCapacity, cluster.HighCapacity, cluster.LowSpeed, cluster.HighSpeed)},
		{"cw perf", "fail-on", fixed("fail", "inconclusive", "warn")},
		{"cw report", "fail-on", fixed("notice", "warning", "critical")},
		{"cw report", "section", fixed(report.Sections()...)},
		{"cw perf", "topology", fixed("serial", "pairs\tneighbours at once", "tournament\tevery pair", "matrix\tall at once")},
		{"cw perf db", "db-kind", fixed("postgres", "mysql")},
		{"cw perf object", "encryption", fixed("s3", "kms")},
		{"cw perf", "driver", fixed(drivers.Names()...)},
		{"cw top", "theme", fixed(tui.ThemeNames()...)},
		{"cw events", "severity", fixed(state.Severities()...)},
		{"cw events", "type", eventWords},
		{"cw load", "group", groupWords},
		{"cw load", "validate", fixed("all\ttry every row")},
		{"cw serve", "s3-compress", fixed("none", "gzip", "zstd")},
		{"cw cluster", "file", yamlWords},
		{"cw monitor", "file", yamlWords},
		{"cw report", "rules", yamlWords},
	}
}

// takesFile are usages that speak of a place in the file system. What does
// not gets no names of files.
var takesFile = regexp.MustCompile(`(?i)\b(files?|folders?|director(y|ies)|socket|path|key|program|archive)\b`)

func flagWords(rules []flagRule, path string, f *pflag.Flag) completer {
	for _, r := range rules {
		if r.flag == f.Name && (path == r.under || strings.HasPrefix(path, r.under+" ")) {
			return r.words
		}
	}
	if takesFile.MatchString(f.Usage) {
		return nil // the shell's own
	}
	return noWords
}

// eventWords are the types of events.
func eventWords(*App, *cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var words []cobra.Completion
	for _, k := range state.EventKinds() {
		words = append(words, cobra.CompletionWithDesc(k.Kind, k.Meaning))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
