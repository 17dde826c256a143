package run

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"cw/loadspec"
	"cw/playground/pgtest"
)

// dialect is how the files of a group are written.
type dialect struct {
	csv           bool
	delimiter     byte
	quote, escape byte
	null          string
	header        bool
	columns       int
	plain         bool // columns that go in COPY's binary format
	eol           string
	python        bool // written by Python's csv module
	forced        bool
}

func (d *dialect) yaml() string {
	q := func(c byte) string { return "'" + strings.ReplaceAll(string(rune(c)), "'", "''") + "'" }
	s := fmt.Sprintf("    - DELIMITER: %s\n    - HEADER: %v\n    - ENCODING: UTF8\n", escaped(d.delimiter), d.header)
	if d.null != "" || !d.csv {
		s += "    - NULL_AS: '" + d.null + "'\n"
	}
	if d.csv {
		s += "    - QUOTE: " + q(d.quote) + "\n    - ESCAPE: " + q(d.escape) + "\n"
		if d.forced {
			s += "    - FORCE_NOT_NULL: [c0]\n"
		}
	}
	return s
}

func escaped(c byte) string {
	if c < ' ' {
		return fmt.Sprintf(`'\x%02x'`, c)
	}
	return "'" + string(rune(c)) + "'"
}

// options is the same for COPY.
func (d *dialect) options() string {
	lit := func(c byte) string { return loadspec.QuoteLiteral(string(rune(c))) }
	s := "format text"
	if d.csv {
		s = "format csv, quote " + lit(d.quote) + ", escape " + lit(d.escape)
		if d.forced {
			s += ", force_not_null (c0)"
		}
	}
	return s + fmt.Sprintf(", delimiter %s, null %s, header %v, encoding 'UTF8'", lit(d.delimiter), loadspec.QuoteLiteral(d.null), d.header)
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func newDialect(r *rand.Rand) *dialect {
	d := &dialect{columns: 1 + r.IntN(5), plain: r.IntN(3) > 0, header: r.IntN(3) == 0, eol: pick(r, "\n", "\n", "\r\n", "\r")}
	if d.csv = r.IntN(3) > 0; !d.csv {
		d.delimiter, d.null, d.escape = pick[byte](r, '\t', '|', ',', 1, ';'), pick(r, `\N`, "", "NULL"), '\\'
		return d
	}
	d.quote = pick[byte](r, '"', '"', '"', '\'')
	d.escape = pick(r, d.quote, d.quote, '\\')
	d.delimiter, d.null, d.forced = pick[byte](r, ',', ';', '|', '\t', '^', 1), pick(r, "", "", "NULL", "-"), r.IntN(5) == 0
	d.python = r.IntN(2) == 0
	return d
}

// value is a text with everything that is awkward.
func (d *dialect) value(r *rand.Rand) string {
	if r.IntN(400) == 0 {
		return strings.Repeat(pick(r, "huge ", "h\"\n", "é"), 10_000+r.IntN(60_000))
	}
	var b strings.Builder
	for range r.IntN(5) {
		switch r.IntN(14) {
		case 0:
			b.WriteByte(d.delimiter)
		case 1:
			b.WriteString(pick(r, `"`, `""`, `'`, `"'"`))
		case 2:
			b.WriteString(pick(r, "\n", "\r\n", "\r", "\n\n"))
		case 3:
			b.WriteString(pick(r, `\`, `\\`, `\N`, `\.`, `\n`, `\"`, `\,`, `\x41`, `\101`, `\t`))
		case 4:
			b.WriteString(pick(r, "é", "漢字", "😀", "\u2028", "\ufeff"))
		case 5:
			b.WriteString(pick(r, " ", "\t", "  "))
		case 6:
			b.WriteString(pick(r, "NULL", "-", "null"))
		default:
			b.WriteString(pick(r, "a", "word", "1", "2.50", "0", "x y"))
		}
	}
	return b.String()
}

// raw is a file as no program would write it: values unquoted or quoted in
// part, line ends of all kinds, empty lines. PostgreSQL decides whether it is
// one at all.
func (d *dialect) raw(r *rand.Rand) []byte {
	var b bytes.Buffer
	rows := r.IntN(30)
	if r.IntN(40) == 0 {
		rows = 8000
	}
	tame := r.IntN(2) == 0 // else hardly any file of several rows is taken
	for i := range rows {
		for c := range d.columns {
			if c > 0 {
				b.WriteByte(d.delimiter)
			}
			switch v := d.value(r); {
			case !d.csv && tame:
				b.WriteString(strings.NewReplacer(`\`, `\\`, "\n", pick(r, `\n`, "\\\n"), "\r", `\r`, string(rune(d.delimiter)), `\`+string(rune(d.delimiter))).Replace(v))
			case !d.csv:
				b.WriteString(strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(v))
			case r.IntN(4) == 0 || tame && strings.ContainsAny(v, "\r\n\"'\\"+string(rune(d.delimiter))):
				q, e := string(rune(d.quote)), string(rune(d.escape))
				v = strings.NewReplacer(q, e+q, e, e+e).Replace(v)
				b.WriteString(pick(r, "", "", "", "pre") + q + v + q + pick(r, "", "", "", "post"))
			case r.IntN(10) == 0:
				b.WriteString(d.null)
			case tame:
				b.WriteString(v)
			default:
				b.WriteString(strings.NewReplacer("\n", "", "\r", "").Replace(v))
			}
		}
		eol := d.eol
		if r.IntN(300) == 0 {
			eol = pick(r, "\n", "\r\n", "\r", "\n\n")
		}
		if i < rows-1 || r.IntN(3) > 0 {
			b.WriteString(eol)
		}
	}
	return b.Bytes()
}

// pythonFiles has Python write rows, and read them again.
const pythonFiles = `
import csv, json, sys, base64, io
csv.field_size_limit(1 << 30)
for line in sys.stdin:
    g = json.loads(line)
    out = []
    for rows in g['files']:
        f = io.StringIO(newline='')
        kw = dict(delimiter=g['delimiter'], quotechar=g['quote'], doublequote=g['double'], escapechar=g['escape'], lineterminator=g['eol'])
        w = csv.writer(f, quoting=g['quoting'], **kw)
        for r in rows:
            w.writerow(r)
        text = f.getvalue()
        back = list(csv.reader(io.StringIO(text, newline=''), **kw))
        if back != rows:
            back = None
        out.append([base64.b64encode(text.encode()).decode(), back is not None])
    print(json.dumps(out), flush=True)
`

type pythonGroup struct {
	Files     [][][]string `json:"files"`
	Delimiter string       `json:"delimiter"`
	Quote     string       `json:"quote"`
	Escape    *string      `json:"escape"`
	Double    bool         `json:"double"`
	EOL       string       `json:"eol"`
	Quoting   int          `json:"quoting"`
}

// byPython writes n files; ok says which of them Python itself reads back as
// they were.
func (d *dialect) byPython(t *testing.T, r *rand.Rand, n int) (files [][]byte, rows [][][]string) {
	t.Helper()
	g := pythonGroup{Delimiter: string(rune(d.delimiter)), Quote: string(rune(d.quote)), Double: d.escape == d.quote, EOL: d.eol, Quoting: pick(r, 0, 1, 1)}
	if !g.Double {
		g.Quoting = 1 // all: Python's escapes count outside of quotes as well
		e := string(rune(d.escape))
		g.Escape = &e
	}
	for range n {
		list := make([][]string, 1+r.IntN(30))
		for i := range list {
			for range d.columns {
				list[i] = append(list[i], d.value(r))
			}
		}
		g.Files = append(g.Files, list)
	}
	in, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "-c", pythonFiles)
	cmd.Stdin = bytes.NewReader(append(in, '\n'))
	text, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var out [][2]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	for i, f := range out {
		encoded, _ := f[0].(string)
		data, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if same, _ := f[1].(bool); same {
			files, rows = append(files, data), append(rows, g.Files[i])
		}
	}
	return files, rows
}

// soak is one group of files, all of the same dialect: loaded by one job, and
// copied one by one by PostgreSQL's COPY.
type soak struct {
	t    *testing.T
	e    *env
	conn *pgx.Conn
	seed uint64
}

func (s *soak) exec(sql string) {
	s.t.Helper()
	if _, err := s.conn.Exec(s.t.Context(), sql); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

// copied tells whether COPY takes a file.
func (s *soak) copied(d *dialect, data []byte) bool {
	s.t.Helper()
	err := pgx.BeginFunc(s.t.Context(), s.conn, func(tx pgx.Tx) error {
		tag, err := tx.Conn().PgConn().CopyFrom(s.t.Context(), bytes.NewReader(data), "copy oracle from stdin with ("+d.options()+")")
		if err == nil && d.header && tag.RowsAffected() == 0 && len(data) > 0 {
			return errNothing
		}
		return err
	})
	var pg *pgconn.PgError
	if err != nil && !errors.As(err, &pg) && !errors.Is(err, errNothing) {
		s.t.Fatal(err)
	}
	return err == nil
}

// errNothing is a file that is a heading and nothing else: where that has a
// quote which is not closed, COPY takes the file and cw does not.
var errNothing = errors.New("no rows")

// marked tells whether a line is the end-of-data marker, or in text ends with
// it: what is behind it COPY drops and cw refuses.
func (d *dialect) marked(data []byte) bool {
	return slices.ContainsFunc(bytes.FieldsFunc(data, func(r rune) bool { return r == '\n' || r == '\r' }), func(line []byte) bool {
		return string(line) == `\.` || !d.csv && bytes.HasSuffix(line, []byte(`\.`))
	})
}

func (s *soak) group(g, files int) (taken, refused int) {
	r := rand.New(rand.NewPCG(s.seed, uint64(g)))
	d := newDialect(r)
	typ := "text"
	if !d.plain {
		typ = "soaked" // a domain, which only the server writes
	}
	var defs []string
	for c := range d.columns {
		defs = append(defs, fmt.Sprintf("c%d %s", c, typ))
	}
	s.exec("drop table if exists soak, oracle; create table soak (" + strings.Join(defs, ", ") + "); create table oracle (like soak)")
	var list [][]byte
	var rows [][][]string
	if d.python {
		d.header = false
		list, rows = d.byPython(s.t, r, files)
	} else {
		for range files {
			list = append(list, d.raw(r))
		}
	}
	dir := filepath.Join(s.e.dir, strconv.Itoa(g))
	if err := os.Mkdir(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var want [][]string
	var bad []byte
	for i, data := range list {
		if d.marked(data) || bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) { // a mark that COPY would take for data
			continue
		}
		if !s.copied(d, data) {
			refused++
			if !d.header {
				bad = data
			}
			continue
		}
		if d.python {
			want = append(want, rows[i]...)
		}
		taken++
		if r.IntN(4) == 0 {
			data = append([]byte("\xef\xbb\xbf"), data...) // COPY has no idea of it
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.dat", i)), data, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	format := map[bool]string{true: "csv", false: "text"}[d.csv]
	load := func(file, job string) error {
		_, err := Run(s.t.Context(), s.e.options(s.e.spec(simple(file, format, "soak", d.yaml())+"  PARALLEL: {WORKERS: 2, SPLIT: 64KiB}\n", 0), job))
		return err
	}
	what := fmt.Sprintf("CW_SEED=%d, group %d (%+v)", s.seed, g, *d)
	if taken > 0 {
		if err := load(filepath.Join(dir, "*.dat"), fmt.Sprintf("g%d", g)); err != nil {
			s.t.Errorf("%s: COPY takes all files, cw says: %v", what, err)
			return taken, refused
		}
	}
	if got, want := s.e.sum("select * from soak"), s.e.sum("select * from oracle"); got != want {
		diff := "(select coalesce(string_agg(quote_nullable(x::text), e'\\n'), 'none') from (select left(a::text, 300) from %s a except all select left(a::text, 300) from %s a limit 3) x)"
		s.t.Errorf("%s: %s, COPY has %s\ncw:   %s\nCOPY: %s", what, got, want, s.e.scalar("select "+fmt.Sprintf(diff, "soak", "oracle")), s.e.scalar("select "+fmt.Sprintf(diff, "oracle", "soak")))
	}
	if d.python {
		s.comparePython(d, want, what)
	}
	if bad != nil && g%4 == 0 {
		file := filepath.Join(dir, "bad")
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			s.t.Fatal(err)
		}
		if load(file, fmt.Sprintf("b%d", g)) == nil {
			s.t.Errorf("%s: cw takes what COPY refuses: %.300q", what, bad)
		}
	}
	return taken, refused
}

// comparePython compares with the rows that Python has written, where NULL is
// what stands for it.
func (s *soak) comparePython(d *dialect, want [][]string, what string) {
	s.t.Helper()
	rows, err := s.conn.Query(s.t.Context(), "select * from soak", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		s.t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (string, error) {
		values, err := r.Values()
		var row []string
		for _, v := range values {
			text, ok := v.(string)
			if !ok {
				text = d.null
			}
			row = append(row, text)
		}
		return fmt.Sprintf("%q", row), err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	var list []string
	for _, row := range want {
		list = append(list, fmt.Sprintf("%q", row))
	}
	slices.Sort(got)
	slices.Sort(list)
	if len(got) != len(list) {
		s.t.Errorf("%s: %d rows, Python has %d", what, len(got), len(list))
		return
	}
	for i := range got {
		if got[i] != list[i] {
			s.t.Errorf("%s: %.300s, Python has %.300s", what, got[i], list[i])
			return
		}
	}
}

// TestSoak loads random files of text and csv with every awkward thing and
// compares with PostgreSQL's COPY, and with Python's csv module where that has
// written them. CW_SOAK=1 loads 10 000, CW_SEED repeats a run.
func TestSoak(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not there, whose csv module writes half of the files")
	}
	const perGroup = 25
	enough := 200
	if os.Getenv("CW_SOAK") != "" {
		enough = 10_000
	}
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("CW_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	pg := pgtest.Start(t)
	e := newEnv(t, pg, "create domain soaked as text")
	conn, err := pgx.Connect(t.Context(), pg.DSN(e.db))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	s := &soak{t: t, e: e, conn: conn, seed: seed}
	taken, refused := 0, 0
	groups := 0
	for ; taken < enough && !t.Failed() && groups*perGroup < 4*enough; groups++ {
		a, b := s.group(groups, perGroup)
		taken, refused = taken+a, refused+b
	}
	t.Logf("CW_SEED=%d: %d files loaded, %d that COPY refuses", seed, taken, refused)
	if taken < enough {
		t.Errorf("only %d of %d files are any good", taken, groups*perGroup)
	}
}
