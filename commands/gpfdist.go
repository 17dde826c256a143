package commands

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// newGpfdist is the entry of the help; the arguments never come here.
func newGpfdist() *cobra.Command {
	return &cobra.Command{
		Use: "gpfdist [options]", Short: "Serve as gpfdist does: its options, lines and exit codes", DisableFlagParsing: true,
		Long: `cw gpfdist, or cw under the name gpfdist, takes gpfdist's options, prints its
lines and returns its exit codes. What it never had is in cw serve. See cw gpfdist
-? for the options.`,
		Example: `  cw gpfdist -d /data/in -p 8081 -l /tmp/gpfdist.log
  ln -s "$(command -v cw)" ~/bin/gpfdist && gpfdist -d /data/in`,
		RunE: groupRun,
	}
}

// gpfdistOptions are gpfdist's, by their letters where they have no better
// name.
type gpfdistOptions struct {
	port, lastPort int
	dir            string // -d, absolute
	log            string
	force          string // -f
	proto          *int   // -g
	timeout        int    // -t, seconds
	bind           string
	maxLine        int // -m
	sync           bool
	queue          int // -z
	transforms     string
	ssl            string
	verifyPeer     bool
	linger         int // -w, seconds
	idle           int // -k, seconds; 0: not given
	compress       bool

	verbose, veryVerbose, simple bool
}

// gpfdistStop ends the start: what to print where, and the exit code.
type gpfdistStop struct {
	code int
	text string
	out  bool // on stdout
}

func (s *gpfdistStop) Error() string { return s.text }

func (s *gpfdistStop) print(streams *Streams) int {
	w := streams.Err
	if s.out {
		w = streams.Out
	}
	_, _ = io.WriteString(w, s.text)
	return s.code
}

func gpfdistRefuse(format string, args ...any) error {
	return &gpfdistStop{code: 1, text: fmt.Sprintf(format, args...) + "\n"}
}

// gpfdistTakesValue are the options with a value, long and short.
const gpfdistTakesValue = " p P d f b l t g m z w c k ssl multi_thread ssl_verify_peer compress-level "

// gpfdistFlags are those without.
const gpfdistFlags = " ? V v s q x h S help version compress "

func parseGpfdist(args []string) (*gpfdistOptions, error) {
	o := &gpfdistOptions{port: 8080, lastPort: 8080, dir: ".", timeout: 5, maxLine: 32 << 10, queue: 256, verifyPeer: true}
	illegal := func(what, option string) error {
		return &gpfdistStop{code: 1, text: "gpfdist: " + what + ": " + option + "\n" + gpfdistUsage + "Error: illegal arguments\n"}
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			break
		}
		if arg == "-" || !strings.HasPrefix(arg, "-") {
			return nil, gpfdistRefuse("Error: illegal arguments")
		}
		next := func() (string, bool) {
			if len(args) == 0 {
				return "", false
			}
			v := args[0]
			args = args[1:]
			return v, true
		}
		if long, ok := strings.CutPrefix(arg, "--"); ok {
			name, value, given := strings.Cut(long, "=")
			takes := strings.Contains(gpfdistTakesValue, " "+name+" ")
			switch {
			case len(name) < 2 || !takes && !strings.Contains(gpfdistFlags, " "+name+" "):
				return nil, illegal("invalid option", arg)
			case !takes && given:
				return nil, illegal("erroneous argument", arg)
			case takes && !given:
				if value, ok = next(); !ok {
					return nil, illegal("missing argument", arg)
				}
			}
			if err := o.set(name, value); err != nil {
				return nil, err
			}
			continue
		}
		for rest := arg[1:]; rest != ""; {
			name := rest[:1]
			rest = rest[1:]
			value := ""
			switch {
			case strings.Contains(gpfdistFlags, " "+name+" "):
			case strings.Contains(gpfdistTakesValue, " "+name+" "):
				var ok bool
				if value, rest = rest, ""; value == "" {
					if value, ok = next(); !ok {
						return nil, illegal("missing argument", "-"+name)
					}
				}
			default:
				return nil, illegal("illegal option", "-"+name)
			}
			if err := o.set(name, value); err != nil {
				return nil, err
			}
		}
	}
	if len(args) > 0 {
		return nil, gpfdistRefuse("Error: illegal arguments")
	}
	return o, nil
}

// atoi reads a number as C does: what is none is 0.
func atoi(s string) int {
	s = strings.TrimLeft(s, " \t")
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && (s[0] == '-' || s[0] == '+')) {
		end++
	}
	n, _ := strconv.Atoi(s[:end])
	return n
}

func (o *gpfdistOptions) set(name, value string) error {
	switch name {
	case "?", "help":
		return &gpfdistStop{text: gpfdistUsage}
	case "version":
		return &gpfdistStop{text: "gpfdist version \"" + gpfdistVersion() + "\"\n", out: true}
	case "q", "x", "h":
		return gpfdistRefuse("The -q, -h and -x options are gone.  Say quote, escape and header in the table's definition instead:\n" +
			"create external table a (a int) location ('gpfdist://...') format 'csv' (escape as '\"' quote as '\"' header);")
	case "v":
		o.verbose = true
	case "V":
		o.verbose, o.veryVerbose = true, true
	case "s":
		o.simple = true
	case "p":
		o.port = atoi(value)
		o.lastPort = o.port
	case "P":
		o.lastPort = atoi(value)
	case "d":
		o.dir = value
	case "f":
		o.force = value
	case "b":
		o.bind = value
	case "l":
		o.log = value
	case "t":
		o.timeout = atoi(value)
	case "g":
		n := atoi(value)
		o.proto = &n
	case "m":
		o.maxLine = atoi(value)
	case "S":
		o.sync = true
	case "z":
		o.queue = atoi(value)
	case "w":
		o.linger = atoi(value)
	case "k":
		if o.idle = atoi(value); o.idle < 300 || o.idle > 86400 {
			return gpfdistRefuse("Error: -k timeout must be between 300 and 86400")
		}
	case "c":
		o.transforms = value
	case "ssl":
		o.ssl = value
	case "ssl_verify_peer":
		if value != "on" && value != "off" {
			return gpfdistRefuse("Error: --ssl_verify_peer must be on or off")
		}
		o.verifyPeer = value == "on"
	case "compress":
		o.compress = true
	case "multi_thread":
		if n := atoi(value); n < 0 || n > 256 {
			return gpfdistRefuse("Error: --multi_thread must be between 0 and 256")
		}
		o.compress = true // as it does with gpfdist; threads there are always enough
	case "compress-level":
		if n := atoi(value); n < 1 || n > 9 {
			return gpfdistRefuse("Error: --compress-level must be between 1 and 9")
		}
	}
	return nil
}

// validate checks ranges and folders, in gpfdist's order. cwd is where the
// program was started.
func (o *gpfdistOptions) validate(cwd string) error {
	switch {
	case o.port <= 0 || o.port >= 1<<16:
		return gpfdistRefuse("Error: please specify a valid port number for -p switch")
	case o.proto != nil && *o.proto != 0 && *o.proto != 1:
		return gpfdistRefuse("Error: please specify 0 or 1 for -g switch (note: this is internal)")
	case o.timeout < 0 || o.timeout == 1 || o.timeout > 7200:
		return gpfdistRefuse("Error: -t timeout must be between 2 and 7200, or 0 for no timeout")
	case o.linger < 0 || o.linger > 7200:
		return gpfdistRefuse("Error: -w timeout must be between 1 and 7200, or 0 for no timeout")
	case o.maxLine < 32<<10 || o.maxLine > 256<<20:
		return gpfdistRefuse("Error: -m max row length must be between 32KB and 256MB")
	case o.queue < 16 || o.queue > 512:
		return gpfdistRefuse("Error: -z listen queue size must be between 16 and 512 (default is 256)")
	}
	var err error
	if o.dir, err = gpfdistFolder(o.dir, cwd, "the source files directory.", "-d"); err != nil {
		return err
	}
	if o.log != "" {
		// gpfdist has gone to -d by now.
		if o.log = trimFolder(o.log); o.log == "/" {
			return gpfdistRefuse("Security Error: You cannot specify the root directory (/) as the log file directory.")
		}
		o.log = below(o.dir, o.log)
		f, err := os.OpenFile(o.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
		if err != nil {
			return gpfdistRefuse("unable to create log file %s: %s", o.log, cText(err))
		}
		_ = f.Close()
	}
	if o.ssl != "" {
		if o.ssl, err = gpfdistFolder(o.ssl, cwd, "the certificates directory", "--ssl"); err != nil {
			return err
		}
	}
	if o.transforms != "" {
		file := below(o.dir, o.transforms)
		if _, err := os.Stat(file); err != nil {
			file = below(cwd, o.transforms)
		}
		o.transforms = file
	}
	return nil
}

// gpfdistFolder makes a folder's name absolute, links resolved, as getcwd has
// it after a chdir.
func gpfdistFolder(name, cwd, what, option string) (string, error) {
	name = trimFolder(name)
	if name == "/" {
		space := ""
		if option == "-d" {
			space = " "
		}
		return "", gpfdistRefuse("Security Error:%s You cannot specify the root directory (/) as %s", space, what)
	}
	dir, err := filepath.EvalSymlinks(below(cwd, name))
	if err == nil {
		var f *os.File
		if f, err = os.Open(dir); err == nil {
			var st os.FileInfo
			if st, err = f.Stat(); err == nil && !st.IsDir() {
				err = os.ErrInvalid
			}
			_ = f.Close()
		}
	}
	if err != nil {
		return "", gpfdistRefuse("Error: cannot access directory '%s'\nPlease specify a valid directory for %s switch", name, option)
	}
	return dir, nil
}

// trimFolder takes blanks and superfluous slashes off.
func trimFolder(name string) string {
	name = strings.Trim(name, " \t\r\n")
	for strings.HasPrefix(name, "//") {
		name = name[1:]
	}
	if name == "/" {
		return name
	}
	if name = strings.TrimRight(name, "/"); name == "" {
		return "."
	}
	return name
}

func below(dir, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(dir, name)
}
