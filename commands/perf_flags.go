package commands

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cw/perfcheck"
	"cw/perfcheck/run"
)

// perfOptions are the flags of every verb that measures. They are kept with
// the run, so that cw perf resume needs none.
type perfOptions struct {
	Areas []perfcheck.Area

	Hosts        []string
	HostFile     string
	Cluster      string
	SSHUser      string
	IdentityFile string
	AgentBinary  string

	Profile  string
	Only     []string
	Skip     []string
	Duration time.Duration
	Warmup   time.Duration
	Reps     int
	Seed     uint64
	Engine   string

	Dirs          []string
	Size          string
	AllowRootDisk bool
	Topology      string
	Object        objectFlags
	DB            dbFlags

	Baselines []string
	Vendor    string
	Require   []string
	FailOn    string
	JUnit     string
	HTML      string
	Markdown  string
	Report    string
	Clean     bool

	dryRun bool
	peer   string // what --engine may name

	earlier *perfcheck.Report // shown beside the run in HTML
}

func (o *perfOptions) addHostFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVar(&o.Hosts, "host", nil, "measure this host: [user@]name[:port] (repeat, or separate by commas; default: this machine)")
	f.StringVarP(&o.HostFile, "hosts-file", "f", "", "measure the hosts of this file, one per line, or of a topology file (.yaml)")
	f.StringVar(&o.Cluster, "cluster", "", "measure the hosts of this cluster")
	f.StringVar(&o.SSHUser, "ssh-user", "", "SSH user of the hosts that name none")
	f.StringVar(&o.IdentityFile, "identity-file", "", "SSH key (default: as ssh itself finds it)")
	f.StringVar(&o.AgentBinary, "agent-binary", "", "cw for hosts of another architecture: a binary or a release archive")
	f.BoolVar(&o.Clean, "clean", false, "remove what earlier runs that were killed left on the hosts")
}

func (o *perfOptions) addFlags(c *cobra.Command) {
	o.addHostFlags(c)
	f := c.Flags()
	f.StringVar(&o.Profile, "profile", "quick", "how thorough: "+strings.Join(run.Profiles(), ", "))
	f.StringSliceVar(&o.Only, "only", nil, "only these tests: an id, the beginning of one, or a pattern with * (cw perf list)")
	f.StringSliceVar(&o.Skip, "skip", nil, "not these tests")
	f.DurationVar(&o.Duration, "duration", 0, "measured phase of each test (default: the profile's)")
	f.DurationVar(&o.Warmup, "warmup", -1, "warm-up before it (default: the profile's)")
	f.Lookup("warmup").DefValue = "0s" // not -1ns in the help
	f.IntVar(&o.Reps, "reps", 0, "repetitions of each test (default: the profile's)")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the random data and offsets")
	f.StringSliceVar(&o.Baselines, "baseline", nil, "compare with this baseline: a name (cw perf baseline list) or a file")
	f.StringVar(&o.Vendor, "vendor", "", "compare with a vendor's promise: TYPE:SIZE, as qingcloud.general-ssd:500GB, or FILE#TYPE:SIZE")
	f.StringArrayVar(&o.Require, "require", nil, "require a number, as 'disk.randread.8k.qd32.iops>=5000' (repeat), or a file of them")
	f.StringVar(&o.FailOn, "fail-on", "fail", "the mildest verdict that ends with exit code 6: warn, inconclusive, fail")
	f.StringVar(&o.JUnit, "junit", "", "write the verdicts as JUnit XML to this file")
	f.StringVar(&o.HTML, "html", "", "write the report as one page for the browser to this file")
	f.StringVar(&o.Markdown, "markdown", "", "write a summary for a pull request to this file")
	f.StringVar(&o.Report, "report", "", "write the whole report as JSON to this file (it is kept in cw's state folder anyway)")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would be measured and how long it takes, and measure nothing")
}

func (o *perfOptions) addDiskFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVarP(&o.Dirs, "dir", "d", nil, "directory on the disk to test (repeat for each disk; it must exist on every host)")
	f.StringVar(&o.Size, "size", "", "size of the test file in each directory, as 20GB (default: the profile's)")
	f.BoolVar(&o.AllowRootDisk, "allow-root-disk", false, "test directories on the disk of / as well")
}

func (o *perfOptions) addNetFlags(c *cobra.Command) {
	c.Flags().StringVar(&o.Topology, "topology", "", "which pairs: serial, pairs (neighbours at once), tournament (every pair), matrix (all at once)\n(default: tournament for throughput, latency and MTU, pairs for the rest)")
}

func (o *perfOptions) addEngineFlag(c *cobra.Command, peer string) {
	o.peer = peer
	c.Flags().StringVar(&o.Engine, "engine", "", "measure with "+peer+" instead of cw's own engine, where it is installed")
}
