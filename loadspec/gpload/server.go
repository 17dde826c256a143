package gpload

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Source is what the server of one SOURCE is to serve.
type Source struct {
	Files       []string // with wildcards
	First, Last int      // ports to try, in order
	MaxLine     int      // longest row in bytes; 0 the server's default
	TLS         string   // folder with server.crt, server.key, root.crt; "" none
	Transforms  string   // file that defines transformations; "" none
	Timeout     time.Duration
	Verbose     int // 1 -v, 2 -V
	Log         func(text string, warning bool)
}

// Server is a server that runs.
type Server struct {
	Port int
	Stop func()
}

// StartServer starts the server of a source; it listens when it returns. An
// error means that it could not, on none of the ports.
type StartServer func(ctx context.Context, s Source) (*Server, error)

const defaultTimeout = 30

// startServers reads SOURCE after SOURCE and starts a server for each.
func (r *course) startServers(ctx context.Context) error {
	c := r.config
	if _, err := c.mustList("gpload:input"); err != nil {
		return err
	}
	taken := map[int]bool{}
	for n := 1; c.find(fmt.Sprintf("gpload:input:source(%d)", n)) != nil; n++ {
		if err := r.startServer(ctx, fmt.Sprintf("gpload:input:source(%d)", n), taken); err != nil {
			return err
		}
	}
	if len(r.servers) == 0 {
		return controlErrorf("configuration file must contain source definition")
	}
	return nil
}

func (r *course) startServer(ctx context.Context, name string, taken map[int]bool) error {
	hosts, err := r.hostnames(ctx, name)
	if err != nil {
		return err
	}
	src := Source{}
	args := []string{"gpfdist"}
	if src.TLS, err = r.tls(); err != nil {
		return err
	}
	if src.TLS != "" {
		args = append(args, "--ssl", src.TLS)
	}
	if src.First, src.Last, err = r.ports(name, taken); err != nil {
		return err
	}
	if src.Files, err = r.files(name); err != nil {
		return err
	}
	args = append(args, "-p", strconv.Itoa(src.First), "-P", strconv.Itoa(src.Last), "-f", `"`+strings.Join(src.Files, " ")+`"`)
	more, fragment, err := r.tuning(&src)
	if err != nil {
		return err
	}
	command := strings.Join(append(args, more...), " ")
	r.log.logf(LevelLog, "trying to run %s", command)
	src.Log = func(text string, warning bool) {
		if warning {
			r.log.onlyFile("gpfdist: " + text)
		}
		r.log.logf(LevelDebug, "gpfdist: %s", text)
	}
	server, err := r.start(ctx, src)
	if err != nil {
		r.log.logf(LevelLog, "gpfdist says: %v", err)
		return fmt.Errorf("failed to start gpfdist: gpfdist command line: %s", command)
	}
	r.servers = append(r.servers, server)
	r.log.logf(LevelInfo, "started %s", command)
	r.log.logf(LevelLog, "gpfdist is running on port %d", server.Port)
	taken[server.Port] = true
	r.locations = append(r.locations, locations(hosts, server.Port, src, fragment)...)
	return nil
}

// hostnames are the names that segments reach this machine by.
func (r *course) hostnames(ctx context.Context, name string) ([]string, error) {
	list, ok, err := r.config.list(name + ":local_hostname")
	if err != nil {
		return nil, err
	}
	if ok && len(list) > 0 {
		return texts(list, name+":local_hostname")
	}
	full, err := r.config.truth("gpload:input:fully_qualified_domain_name")
	if err != nil {
		return nil, err
	}
	host, err := r.hostname(ctx, full)
	return []string{host}, err
}

func texts(list []any, path string) ([]string, error) {
	out := make([]string, len(list))
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			return nil, controlErrorf("%s must be a YAML sequence of strings", path)
		}
		out[i] = s
	}
	return out, nil
}

func (r *course) files(name string) ([]string, error) {
	list, err := r.config.mustList(name + ":file")
	if err != nil {
		return nil, err
	}
	return texts(list, name+":file")
}

const lastPort = 65535

func (r *course) ports(name string, taken map[int]bool) (first, last int, err error) {
	port, _, err := r.config.number(name + ":port")
	if err != nil {
		return 0, 0, err
	}
	span, ok, err := r.config.list(name + ":port_range")
	if err != nil {
		return 0, 0, err
	}
	first, last = 8000, 9000
	switch {
	case port != 0:
		first, last = port, port+1
	case ok && len(span) > 0:
		a, isInt := asInt(span, 0)
		b, isInt2 := asInt(span, 1)
		if !isInt || !isInt2 {
			return 0, 0, controlErrorf("%s:port_range must be a YAML sequence of two integers", name)
		}
		first, last = a, b
	}
	if first > lastPort || last > lastPort {
		return 0, 0, controlErrorf("Invalid port. Port values must be less than or equal to 65535.")
	}
	for p := max(first, 1); p <= last; p++ {
		if !taken[p] {
			return first, last, nil
		}
	}
	return 0, 0, fmt.Errorf("no more ports available for gpfdist")
}

func asInt(list []any, i int) (int, bool) {
	if i >= len(list) {
		return 0, false
	}
	switch v := list[i].(type) {
	case int64:
		return int(v), true
	case string:
		n, err := strconv.Atoi(strings.TrimSpace(v))
		return n, err == nil
	default:
		return 0, false
	}
}

// tls is the folder of the certificates; gpload reads it from the first
// SOURCE only, for all.
func (r *course) tls() (string, error) {
	on, err := r.config.truth("gpload:input:source:ssl")
	if err != nil {
		return "", err
	}
	dir, _, err := r.config.text("gpload:input:source:certificates_path")
	switch {
	case err != nil:
		return "", err
	case on && dir == "":
		return "", controlErrorf("CERTIFICATES_PATH is required when SSL is specified as true")
	case !on && dir != "":
		return "", controlErrorf("CERTIFICATES_PATH is specified while SSL is not specified as true")
	case !on:
		return "", nil
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fmt.Errorf("could not access CERTIFICATES_PATH directory: %s", dir)
	}
	return dir, nil
}

// tuning reads what else the server is told: -t, -v, -m, -c, and the fragment
// of its URLs.
func (r *course) tuning(src *Source) (args []string, fragment string, err error) {
	timeout := r.Timeout
	if timeout == "" {
		timeout = strconv.Itoa(defaultTimeout)
	}
	args = append(args, "-t", timeout)
	seconds, err := strconv.Atoi(timeout)
	if err != nil || seconds < 0 {
		return nil, "", fmt.Errorf("--gpfdist_timeout %s is no number of seconds", timeout)
	}
	src.Timeout = time.Duration(seconds) * time.Second
	switch {
	case r.Level == LevelLog:
		args, src.Verbose = append(args, "-v"), 1
	case r.Level > LevelLog:
		args, src.Verbose = append(args, "-V"), 2
	}
	line, ok, err := r.config.number("gpload:input:max_line_length")
	if err != nil {
		return nil, "", err
	}
	if ok {
		args, src.MaxLine = append(args, "-m", strconv.Itoa(line)), line
	}
	transform, _, err := r.config.text("gpload:input:transform")
	if err != nil {
		return nil, "", err
	}
	if src.Transforms, _, err = r.config.text("gpload:input:transform_config"); err != nil {
		return nil, "", err
	}
	if src.Transforms != "" {
		f, err := os.Open(src.Transforms)
		if err != nil {
			return nil, "", fmt.Errorf("could not open transform_config file: %s", pyOSError(err, src.Transforms))
		}
		_ = f.Close()
		args = append(args, "-c", src.Transforms)
	} else if transform != "" {
		return nil, "", controlErrorf("transform_config is required when transform is specified")
	}
	if transform != "" {
		fragment = "#transform=" + transform
	}
	return args, fragment, nil
}

// locations are the URLs of a server, one for each name of this machine. The
// path only tells people what is read: the server knows its files.
func locations(hosts []string, port int, src Source, fragment string) []string {
	scheme := "gpfdist"
	if src.TLS != "" {
		scheme = "gpfdists"
	}
	paths := make([]string, len(src.Files))
	for i, f := range src.Files {
		if slices.Contains(strings.Split(f, "/"), "..") { // a server refuses such a path
			if whole, err := filepath.Abs(f); err == nil {
				f = whole
			}
		}
		paths[i] = escapePath(f)
	}
	out := make([]string, len(hosts))
	for i, h := range hosts {
		if strings.Contains(h, ":") {
			h = "[" + h + "]"
		}
		out[i] = fmt.Sprintf("%s://%s:%d/%s%s", scheme, h, port, strings.Join(paths, "%20"), fragment)
	}
	return out
}

// escapePath replaces what would end a URL or its path.
func escapePath(path string) string {
	var b strings.Builder
	for i := range len(path) {
		switch c := path[i]; {
		case c <= ' ' || c == 0x7f || strings.IndexByte(`"#%?<>\^{|}`+"`", c) >= 0:
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
