package gpload

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"cw/playground/pgtest"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	got, err := parseOptions(strings.Fields("-h h -p 5 -U u -d d -W -l l -v -D --gpfdist_timeout 7 --no_auto_trans --max_retries -1 -f f"))
	want := Options{File: "f", Host: "h", Port: 5, User: "u", Database: "d", Ask: true, LogFile: "l", Level: LevelLog, Dry: true, Timeout: "7", NoTrans: true, Retries: -1}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	for in, level := range map[string]Level{"-f f -q": LevelWarn, "-q -q -f f": LevelError, "-V -f f": LevelDebug, "-f f": LevelInfo} {
		if got, err := parseOptions(strings.Fields(in)); err != nil || got.Level != level || got.conflict {
			t.Errorf("%s: %+v %v", in, got, err)
		}
	}
	if got, _ := parseOptions(strings.Fields("-q -v -f f")); !got.conflict {
		t.Error("-q goes with -v")
	}
	for in, want := range map[string]string{
		"":               "configuration file required",
		"-D":             "configuration file required",
		"x":              "configuration file required",
		"-f":             "Option -f needs a parameter.\n",
		"-f f -p x":      "Parameter for option -p must be an integer.\n",
		"-f f x y":       "unrecognized arguments: x y",   //nolint:misspell // gpload's word
		"-f f --nope":    "unrecognized argument: --nope", //nolint:misspell // gpload's word
		"--max_retries":  "Option --max_retries needs a parameter.\n",
		"-f f -l":        "Option -l needs a parameter.\n",
		"--max_retries ": "Option --max_retries needs a parameter.\n",
	} {
		if _, err := parseOptions(strings.Fields(in)); err == nil || err.Error() != want {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// runWithout runs without a database.
func runWithout(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	return w.raw(args...)
}

func TestRunWithoutDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bad := file("bad.yaml", "VERSION: 1.0.0.1\nGPLOAD:\n  FROBNICATE: 1\n")
	for _, c := range []struct {
		args     []string
		code     int
		out, err string
	}{
		{[]string{"-?"}, 2, "gpload [options] -f CONTROL_FILE", ""},
		{[]string{"--version"}, 0, "", "gpload version test\n"},
		{nil, 2, "gpload [options] -f CONTROL_FILE", "ERROR: configuration file required\n\n"},
		{[]string{"-f"}, 2, "", "Option -f needs a parameter.\n"},
		{[]string{"-f", dir + "/none"}, 2, "|ERROR|could not open configuration file: [Errno 2] No such file or directory: '" + dir + "/none'\n", ""},
		{[]string{"-f", bad, "-q", "-v"}, 2, "|ERROR|-q conflicts with -v and -V\n", ""},
		{[]string{"-f", bad}, 2, "|ERROR|unrecognized key: \"frobnicate\"\n", ""}, //nolint:misspell // gpload's word
		{[]string{"-f", bad, "-l", dir + "/no/dir"}, 2, "|ERROR|could not open logfile " + dir + "/no/dir: [Errno 2] No such file or directory: '" + dir + "/no/dir'\n", ""},
	} {
		code, out, errOut := runWithout(t, c.args...)
		if code != c.code || !strings.Contains(out, c.out) || errOut != c.err || strings.Contains(out, "rows Inserted") {
			t.Errorf("%q: %d %s %s", c.args, code, out, errOut)
		}
	}
}

const head = "VERSION: 1.0.0.1\nGPLOAD:\n"

func TestControlFileMistakes(t *testing.T) {
	t.Parallel()
	const control = "A gpload control file processing error occurred. "
	for in, want := range map[string]string{
		"":                                      control + "The configuration must contain version tag",
		"GPLOAD: {}":                            control + "The configuration must contain version tag",
		"VERSION: 1.0.0.2":                      control + "gpload configuration schema version must be 1.0.0.1",
		"VERSION: 1.0":                          control + "version must be a string  tag",
		"- VERSION: 1.0.0.1":                    control + "configuration file must begin with a mapping",
		head + "  INPUTS: []":                   `unrecognized key: "inputs"`, //nolint:misspell // gpload's word
		head + "  INPUT:\n  - TABLE: t":         `unexpected key: "table"`,
		"VERSION: 1.0.0.1\nTABLE: t":            `unexpected key: "table"`,
		head + "  INPUT: [csv]":                 `unrecognized key: "csv"`, //nolint:misspell // gpload's word
		head + "  OUTPUT:\n  - INPUT: x":        `unexpected key: "input"`,
		head + "  INPUT:\n  - SOURCE: {URL: x}": `unrecognized key: "url"`, //nolint:misspell // gpload's word
		"VERSION: 1.0.0.1\n a: b: c":            "configuration file error: mapping values are not allowed here, line 1",
		head + "  INPUT:\n   - FORMAT: csv\n  OUTPUT:\n   - TABLE: x 'y\n     z: [": "configuration file error: ",
		"VERSION: 1.0.0.1\nX: \"s_\"\"c\"\n":                                        "configuration file error: expected <block end>, but found '<scalar>', line 1",
		"VERSION: \xff":                                                             "'utf8' codec can't decode byte #xff: invalid start byte position 9",
		"VERSION: \x01":                                                             "unacceptable character #x0001 at byte 9: special characters are not allowed",
	} {
		_, err := parseConfig([]byte(in))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q:\ngot  %v\nwant %s", in, err, want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, s := range []string{head, "VERSION: 1.0.0.1\na: &x [*x]", "VERSION: 1.0.0.1\nGPLOAD: {INPUT: [{SOURCE: {FILE: [a]}}]}", "a: 'b\n", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) {
		c, err := parseConfig([]byte(s))
		if err == nil {
			_ = c.find("gpload:input:source(2):file")
			_, _, _ = c.list("gpload:output")
		}
	})
}

func TestValuesAreYAML11(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]any{
		"yes": true, "Off": false, "'yes'": "yes", "~": nil, "": nil, "8080": int64(8080), "0x1F": int64(31), "010": int64(8), "1_000": int64(1000), "1:30": int64(90),
		"1.0": 1.0, "1.0.0.1": "1.0.0.1", "'|'": "|", `"\t"`: "\t", `'\t'`: `\t`, "2020-01-01": timestamp("2020-01-01"), "y": "y", "!!str 5": "5", "-3": int64(-3),
	} {
		c, err := parseConfig([]byte("VERSION: 1.0.0.1\nUSER: " + in + "\n"))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := c.find("user"); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, want %#v", in, got, want)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	c, err := parseConfig([]byte(head + "  INPUT:\n    - Source: {FILE: [a], PORT: 1}\n    - FORMAT: csv\n    - SOURCE: {FILE: [b]}\n    - FORMAT: text\nPORT: 5\nPORT: 6\n"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{
		"gpload:input:source:port": int64(1), "gpload:input:source(2):port": nil, "gpload:input:format": "csv", "gpload:input:source(3)": nil, "PORT": int64(6), "nope:x": nil,
	} {
		if got := c.find(path); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, want %#v", path, got, want)
		}
	}
	if l, err := c.mustList("gpload:input:source(2):file"); err != nil || l[0] != "b" {
		t.Errorf("%v %v", l, err)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{second(c.text("port")), "port must be a string "},
		{second(c.number("gpload:input:format")), "The gpload:input:format entry must be a YAML integer "},
		{second(c.list("gpload:input:format")), "The gpload:input:format entry must be a YAML sequence "},
		{first(c.truth("gpload:input:format")), "The gpload:input:format entry must be a YAML boolean "},
		{first(c.names("gpload:output:match_columns")), "The configuration must contain gpload:output:match_columns"},
	} {
		if c.err == nil || c.err.Error() != "A gpload control file processing error occurred. "+c.want {
			t.Errorf("%v, want %s", c.err, c.want)
		}
	}
}

func first(_ any, err error) error          { return err }
func second(_ any, _ bool, err error) error { return err }

// Option, else control file, else environment, else default.
func TestConnectionSettings(t *testing.T) {
	t.Parallel()
	output := "GPLOAD: {OUTPUT: [{TABLE: S.\"T t\"}]}\n"
	env := map[string]string{"PGHOST": "eh", "PGPORT": "7", "PGUSER": "eu", "PGDATABASE": "ed", "USER": "os", "PGPASSWORD": "ep"}
	for _, c := range []struct {
		options Options
		file    string
		env     bool
		want    string
	}{
		{Options{}, "", false, "localhost 5432 os os  false"},
		{Options{}, "", true, "eh 7 eu ed ep true"},
		{Options{}, "HOST: fh\nPORT: 6\nUSER: fu\nDATABASE: fd\nPASSWORD: fp\n", true, "fh 6 fu fd fp true"},
		{Options{Host: "oh", Port: 5, User: "ou", Database: "od", Ask: true}, "HOST: fh\nPORT: 6\nUSER: fu\nDATABASE: fd\nPASSWORD: fp\n", true, "oh 5 ou od  false"},
	} {
		cfg, err := parseConfig([]byte("VERSION: 1.0.0.1\n" + c.file + output))
		if err != nil {
			t.Fatal(err)
		}
		getenv := func(name string) string {
			if c.env || name == "USER" {
				return env[name]
			}
			return ""
		}
		s, err := newSettings(c.options, cfg, getenv, &logger{out: &safeBuffer{}, now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%s %d %s %s %s %v", s.Host, s.Port, s.User, s.Database, s.password, s.passwordGiven); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
		if s.schema != "s" || s.name != "T t" {
			t.Errorf("%s.%s", s.schema, s.name)
		}
	}
	cfg, _ := parseConfig([]byte("VERSION: 1.0.0.1\n" + output))
	if _, err := newSettings(Options{}, cfg, func(string) string { return "" }, &logger{out: &safeBuffer{}, now: time.Now}); !errors.Is(err, errNoUser) {
		t.Errorf("%v", err)
	}
}

func TestUnescape(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{`\t`: "\t", `\x1c`: "\x1c", `\u001C`: "\x1c", `\101`: "A", `\\`: `\`, `\'`: "'", `\q`: `\q`, "ab": "ab", `\U0001F600`: "😀"} {
		if got, err := unescape(in); err != nil || got != want {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
	for _, in := range []string{`\`, `\x1`, `\u12`, `\xzz`} {
		if got, err := unescape(in); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func FuzzUnescape(f *testing.F) {
	f.Add(`\x1c`)
	f.Add(`\U`)
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := unescape(s); err == nil && !strings.Contains(s, `\`) && got != s {
			t.Errorf("%q: %q", s, got)
		}
	})
}

// The excerpts are libpq's for these statements.
func TestMessage(t *testing.T) {
	t.Parallel()
	long := `INSERT INTO public."mapping_test" ("s1","s2","s3") SELECT c1,c2,n3 FROM ext_gpload_reusable_x`
	for _, c := range []struct {
		err  pgconn.PgError
		sql  string
		want string
	}{
		{pgconn.PgError{Severity: "ERROR", Message: "m", Detail: "d", Hint: "h", Where: "w"}, "x", "ERROR:  m\nDETAIL:  d\nHINT:  h\nCONTEXT:  w\n"},
		{pgconn.PgError{Severity: "ERROR", Message: "m", Position: 8}, "select nope", "ERROR:  m\nLINE 1: select nope\n               ^\n"},
		{pgconn.PgError{Severity: "ERROR", Message: "m", Position: 9}, "select\n\t5a\n, 3", "ERROR:  m\nLINE 2:  5a\n         ^\n"},
		{pgconn.PgError{Severity: "ERROR", Message: "m", Position: int32(strings.Index(long, "n3 FROM") + 1)}, long, "ERROR:  m\nLINE 1: ...blic.\"mapping_test\" (\"s1\",\"s2\",\"s3\") SELECT c1,c2,n3 FROM ex...\n                                                             ^\n"},
		{pgconn.PgError{Severity: "ERROR", Message: "m", Position: 6}, "表名 x y", "ERROR:  m\nLINE 1: 表名 x y\n                  ^\n"[:len("ERROR:  m\nLINE 1: 表名 x y\n")] + "               ^\n"},
		{pgconn.PgError{Severity: "ERROR", Message: "m", Position: 3}, "", "ERROR:  m at character 3\n"},
	} {
		if got := message(&c.err, c.sql); got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
	if got := message(errors.New("other"), "x"); got != "other\n" {
		t.Error(got)
	}
}

func FuzzPoint(f *testing.F) {
	f.Add("select 1", 3)
	f.Add("a\r\nb\tc", 6)
	f.Add(strings.Repeat("表", 90), 50)
	f.Fuzz(func(t *testing.T, sql string, position int) {
		if got := point(sql, position); got != "" && (!strings.HasPrefix(got, "LINE ") || !strings.HasSuffix(got, "^\n")) {
			t.Errorf("%q at %d: %q", sql, position, got)
		}
	})
}

func TestConnectMessage(t *testing.T) {
	t.Parallel()
	dial := func(ip string, err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: 5}, Err: err}
	}
	for _, c := range []struct {
		err  error
		host string
		want string
	}{
		{dial("1.2.3.4", &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}), "1.2.3.4", "could not connect to server: Connection refused\n\tIs the server running on host \"1.2.3.4\" and accepting\n\tTCP/IP connections on port 5?\n"},
		{errors.Join(dial("::1", syscall.ECONNREFUSED), dial("127.0.0.1", syscall.ETIMEDOUT)), "localhost", "could not connect to server: Connection refused\n\tIs the server running on host \"localhost\" (::1) and accepting\n\tTCP/IP connections on port 5?\ncould not connect to server: Connection timed out\n\tIs the server running on host \"localhost\" (127.0.0.1) and accepting\n\tTCP/IP connections on port 5?\n"},
		{dial("1.2.3.4", syscall.ENOENT), "/tmp", "could not connect to server: No such file or directory\n\tIs the server running locally and accepting\n\tconnections on Unix domain socket \"/tmp/.s.PGSQL.5\"?\n"},
		{fmt.Errorf("x: %w", &pgconn.PgError{Severity: "FATAL", Message: "no"}), "h", "FATAL:  no\n"},
		{&net.DNSError{}, "h", "could not translate host name \"h\" to address: Name or service not known\n"},
		{errors.New("odd"), "h", "odd\n"},
	} {
		if got := connectMessage(c.err, c.host, 5); got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
}

func TestLocations(t *testing.T) {
	t.Parallel()
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		src  Source
		want string
	}{
		{Source{Files: []string{"/data/x.csv"}}, "gpfdist://h:8080//data/x.csv gpfdist://[::1]:8080//data/x.csv"},
		{Source{Files: []string{"a b.csv", "/c#%?.csv"}, TLS: "d"}, "gpfdists://h:8080/a%20b.csv%20/c%23%25%3F.csv gpfdists://[::1]:8080/a%20b.csv%20/c%23%25%3F.csv"},
		{Source{Files: []string{"../x*"}}, "gpfdist://h:8080/" + filepath.Dir(cwd) + "/x* gpfdist://[::1]:8080/" + filepath.Dir(cwd) + "/x*"},
	} {
		if got := strings.Join(locations([]string{"h", "::1"}, 8080, c.src, ""), " "); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestPorts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source      string
		taken       map[int]bool
		first, last int
		want        string
	}{
		{"PORT: 81", nil, 81, 82, ""},
		{"FILE: [x]", nil, 8000, 9000, ""},
		{"PORT_RANGE: [5, 7]", map[int]bool{5: true, 6: true}, 5, 7, ""},
		{"PORT_RANGE: [5, 7]\n        PORT: 9", nil, 9, 10, ""},
		{"PORT_RANGE: [5, 7]", map[int]bool{5: true, 6: true, 7: true}, 0, 0, "no more ports available for gpfdist"},
		{"PORT_RANGE: [7, 5]", nil, 0, 0, "no more ports available for gpfdist"},
		{"PORT_RANGE: [7]", nil, 0, 0, "A gpload control file processing error occurred. s:port_range must be a YAML sequence of two integers"},
		{"PORT: 65535", nil, 0, 0, "A gpload control file processing error occurred. Invalid port. Port values must be less than or equal to 65535."},
		{"PORT: many", nil, 0, 0, "A gpload control file processing error occurred. The s:port entry must be a YAML integer "},
	} {
		node, value, err := parseYAML([]byte("s:\n        " + c.source + "\n"))
		if err != nil || node == nil {
			t.Fatal(err)
		}
		r := &course{settings: &settings{config: &config{root: value}}}
		first, last, err := r.ports("s", c.taken)
		if first != c.first || last != c.last || (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%s: %d %d %v", c.source, first, last, err)
		}
	}
}

// A busy port is passed over, as gpfdist -p -P does.
func TestServeTakesTheNextPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	busy := l.Addr().(*net.TCPAddr).Port
	silent := func(string, bool) {}
	s, err := Serve(t.Context(), Source{Files: []string{"x"}, First: busy, Last: min(busy+50, 65535), Log: silent})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if s.Port <= busy {
		t.Errorf("port %d", s.Port)
	}
	if s, err := Serve(t.Context(), Source{Files: []string{"x"}, First: busy, Last: busy, Log: silent}); err == nil {
		s.Stop()
		t.Error("two servers on one port")
	}
}

func TestCertificatesAndSSLNeedEachOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for source, want := range map[string]string{
		"SSL: true": "CERTIFICATES_PATH is required when SSL is specified as true", "CERTIFICATES_PATH: " + dir: "CERTIFICATES_PATH is specified while SSL is not specified as true",
		"SSL: true\n        CERTIFICATES_PATH: " + dir + "/none": "could not access CERTIFICATES_PATH directory: " + dir + "/none", "SSL: true\n        CERTIFICATES_PATH: " + dir: "", "FILE: [x]": "",
	} {
		c, err := parseConfig([]byte(head + "  INPUT:\n    - SOURCE:\n        " + source + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = (&course{settings: &settings{config: c}}).tls()
		if (err == nil) != (want == "") || err != nil && !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", source, err)
		}
	}
}

func TestNeedsNoTransaction(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{"": false, "vacuum": true, "select 1; VACUUM\n analyze t": true, "create  index concurrently i on t(a)": true, "create index i on t(a)": false, "select 'vacuum'": false, "vacuums": false} {
		if got := needsNoTransaction(in); got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
}

// --max_retries is for connections that time out only.
func TestConnectionRefusedIsNotRetried(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f.yaml")
	if err := os.WriteFile(path, []byte("VERSION: 1.0.0.1\nHOST: 127.0.0.1\nUSER: u\nGPLOAD:\n  OUTPUT:\n    - TABLE: t\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	port := pgtest.FreePort(t)
	code, out, _ := runWithout(t, "-f", path, "--max_retries", "-1", "-p", fmt.Sprint(port))
	if code != 2 || !strings.Contains(out, "Connection refused") || strings.Contains(out, "retry") || !strings.Contains(out, "INFO|gpload failed\n") {
		t.Errorf("%d %s", code, out)
	}
}
