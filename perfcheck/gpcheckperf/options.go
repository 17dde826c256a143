// Package gpcheckperf is a front end of the performance checks with the
// options, the lines and the exit codes of Greenplum's gpcheckperf, so that
// scripts that call it and read its output move over unchanged. The work is
// done by cw's own agents and engines.
package gpcheckperf

import (
	"fmt"
	"strconv"
	"strings"
)

// Defaults of gpcheckperf's code, which its help gives otherwise.
const (
	defaultTests    = "dsN"
	defaultDuration = 15       // seconds of a network test
	defaultBlock    = 32 << 10 // bytes
	maxBlock        = 1 << 20
)

// topology is which pairs a network test measures, by gpcheckperf's letter.
type topology byte

const (
	noNet    topology = 0
	serial   topology = 'n' // neighbours, one direction after the other
	parallel topology = 'N' // neighbours at once
	matrix   topology = 'M' // everybody with everybody at once
)

// options are the command line.
type options struct {
	dirs       []string
	hosts      []string
	hostFile   string
	disk       bool
	stream     bool
	net        topology
	block      int64
	size       int64 // bytes per directory; 0 is twice the memory by the number of directories
	perHost    bool  // -D
	duration   int64 // seconds
	netperf    bool
	direct     bool // cw's own: past the page cache
	verbose    bool
	veryVerb   bool
	durationOK bool
}

// stop ends the program before its work: what to print where, and the exit
// code.
type stop struct {
	code     int
	out, err string
}

func (s *stop) Error() string { return s.err }

// refuse is how gpcheckperf refuses a command line: its help, then the reason.
func refuse(format string, args ...any) error {
	return &stop{1, usage, fmt.Sprintf(format, args...) + "\n"}
}

// letters and words are the options; a colon or = says that one takes a value.
const letters = "?vVDd:r:B:S:p:h:f:"

var words = []string{"duration=", "version", "netperf", "direct-io"} //nolint:gochecknoglobals // constant table

// getopt reads the command line as Python's getopt does: options end at the
// first argument that is none, long ones may be abbreviated.
func getopt(args []string) (pairs [][2]string, err error) {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "-" {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			break
		}
		if long, ok := strings.CutPrefix(arg, "--"); ok {
			name, value, given := strings.Cut(long, "=")
			full, err := longOption(name)
			if err != nil {
				return nil, err
			}
			takes := strings.HasSuffix(full, "=")
			switch {
			case !takes && given:
				return nil, refuse("Error: option --%s must not have an argument", full)
			case takes && !given && len(args) == 0:
				return nil, refuse("Error: option --%s requires argument", strings.TrimSuffix(full, "="))
			case takes && !given:
				value, args = args[0], args[1:]
			}
			pairs = append(pairs, [2]string{"--" + strings.TrimSuffix(full, "="), value})
			continue
		}
		for rest := arg[1:]; rest != ""; {
			letter := rest[:1]
			rest = rest[1:]
			i := strings.Index(letters, letter)
			if i < 0 || letter == ":" {
				return nil, refuse("Error: option -%s is unknown", letter)
			}
			value := ""
			if strings.HasPrefix(letters[i+1:], ":") {
				value, rest = rest, ""
				if value == "" {
					if len(args) == 0 {
						return nil, refuse("Error: option -%s requires argument", letter)
					}
					value, args = args[0], args[1:]
				}
			}
			pairs = append(pairs, [2]string{"-" + letter, value})
		}
	}
	return pairs, nil
}

func longOption(name string) (string, error) {
	var like []string
	for _, w := range words {
		if strings.TrimSuffix(w, "=") == name {
			return w, nil
		}
		if strings.HasPrefix(w, name) {
			like = append(like, w)
		}
	}
	switch len(like) {
	case 0:
		return "", refuse("Error: option --%s is unknown", name)
	case 1:
		return like[0], nil
	}
	return "", refuse("Error: option --%s not a unique prefix", name)
}

// parse reads the command line; the error is a *stop.
func parse(args []string, version string) (*options, error) {
	pairs, err := getopt(args)
	if err != nil {
		return nil, err
	}
	o := &options{block: defaultBlock, duration: defaultDuration, durationOK: true}
	tests := ""
	for _, p := range pairs {
		var err error
		switch value := p[1]; p[0] {
		case "-?":
			return nil, &stop{0, usage, ""}
		case "--version":
			return nil, &stop{0, "gpcheckperf version " + version + "\n", ""}
		case "-v":
			o.verbose = true
		case "-V":
			o.verbose, o.veryVerb = true, true
		case "-D":
			o.perHost = true
		case "-d":
			o.dirs = append(o.dirs, trimSlash(value))
		case "-h":
			o.hosts = append(o.hosts, value)
		case "-f":
			o.hostFile = value
		case "-r":
			tests = value
		case "-B":
			o.block, err = parseSize(value)
		case "-S":
			o.size, err = parseSize(value)
		case "--duration":
			o.duration, err = parseDuration(value)
		case "--netperf":
			o.netperf = true
		case "--direct-io":
			o.direct = true
		}
		if err != nil {
			return nil, err
		}
	}
	return o, o.check(tests)
}

// check finishes and checks, in gpcheckperf's order.
func (o *options) check(tests string) error {
	if tests == "" {
		tests = defaultTests
	}
	o.disk, o.stream = strings.Contains(tests, "d"), strings.Contains(tests, "s")
	for _, t := range []topology{serial, parallel, matrix} {
		if strings.ContainsRune(tests, rune(t)) {
			if o.net != noNet {
				return refuse("Error: please specify only one network test at a time (-r [n|M|N])")
			}
			o.net = t
		}
	}
	switch {
	case len(o.dirs) == 0:
		return refuse("Error: please specify at least one segdir (-d switch)")
	case o.block < 0 || o.size < 0:
		return refuse("Error: please enter valid memory sizes for -B or -S switches")
	case (len(o.hosts) > 0) == (o.hostFile != ""):
		return refuse("Error: please specify at least one of -h or -f args, but not both")
	case o.block > maxBlock:
		return refuse("Error: maximum size for -B parameter is 1MB")
	}
	o.size /= int64(len(o.dirs))
	if o.block == 0 {
		o.block = 8 << 10 // what its copying program does without a size
	}
	if o.duration <= 0 {
		o.duration, o.durationOK = defaultDuration, false
	}
	return nil
}

// trimSlash takes one slash off the end, as gpcheckperf does.
func trimSlash(dir string) string {
	if len(dir) > 1 {
		return strings.TrimSuffix(dir, "/")
	}
	return dir
}

// parseSize reads 32768, 32KB, 1GB: binary units, as gpcheckperf has them.
func parseSize(text string) (int64, error) {
	rest := strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(text)), "B")
	factor := int64(1)
	for suffix, f := range map[string]int64{"K": 1 << 10, "M": 1 << 20, "G": 1 << 30} {
		if number, ok := strings.CutSuffix(rest, suffix); ok {
			rest, factor = number, f
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
	if err != nil || n > 1<<62/factor || n < -1<<62/factor {
		return 0, &stop{1, "", fmt.Sprintf("Error: %q is no size: write 32KB, 500MB or 16GB\n", text)}
	}
	return n * factor, nil
}

// parseDuration reads 15, 15s, 2m, 1h, 1d as seconds.
func parseDuration(text string) (int64, error) {
	rest := strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(text)), "S")
	factor := int64(1)
	for suffix, f := range map[string]int64{"M": 60, "H": 3600, "D": 86400} {
		if number, ok := strings.CutSuffix(rest, suffix); ok {
			rest, factor = number, f
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
	if err != nil || n > 1<<31/factor || n < -1<<31/factor {
		return 0, &stop{255, fmt.Sprintf("exception: %q is no duration: write 15s, 2m or 1h\n", text), ""}
	}
	return n * factor, nil
}

// hostLines reads a host file: one host per line; empty lines and those that
// begin with # are none.
func hostLines(data string) []string {
	var hosts []string
	for line := range strings.Lines(data) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			hosts = append(hosts, line)
		}
	}
	return hosts
}

// quoted is a command line as gpcheckperf shows it: words with a blank
// inside in single quotes.
func quoted(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		if out[i] = a; strings.Index(a, " ") > 0 {
			out[i] = "'" + a + "'"
		}
	}
	return strings.Join(out, " ")
}

const usage = `gpcheckperf measures disks, memory and network of hosts (this one is cw).

Usage:
  gpcheckperf -d DIR [-d DIR ...] {-f HOSTFILE | -h HOST [-h HOST ...]}
              [-r ds[n|N|M]] [-B SIZE] [-S SIZE] [--duration TIME] [-D] [-v|-V]
  gpcheckperf -? | --version

  -d DIR       directory to test the disk below; repeat for several
  -f HOSTFILE  file with a host per line: [user@]name[:port]
  -h HOST      host to test; repeat for several
  -r TESTS     d disk, s memory bandwidth, and one of the network tests:
               n neighbours one after another, N at once, M everybody with
               everybody at once (default dsN)
  -B SIZE      block size of the disk test, at most 1MB (default 32KB)
  -S SIZE      bytes of the disk test on each host, all directories together
               (default: twice the memory)
  -D           show the disk results of each host
  --duration TIME  of each network test, as 30s, 2m, 1h (default 15s)
  --netperf    accepted: cw measures with its own engine
  --direct-io  bypass the page cache in the disk test (cw's own option)
  -v, -V       say what is done
  -?           this help
  --version    the version

Exit codes:
  0    measured, whatever the results: cw perf has verdicts
  1    wrong usage, or a host or test failed
  130  interrupted
`
