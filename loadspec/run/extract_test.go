package run

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/source"
	"cw/loadspec/throttle"
	"cw/playground/pgtest"
)

func (e *env) unload(body string) *loadspec.Unload {
	e.t.Helper()
	text := fmt.Sprintf("VERSION: 1.0.0.1\nHOST: 127.0.0.1\nPORT: %d\nUSER: cw\nPASSWORD: cw\nDATABASE: %s\nGPLOAD:\n%s", e.pg.Port, e.db, body)
	u, err := loadspec.ParseUnload("test.yaml", []byte(text))
	if err != nil {
		e.t.Fatalf("%v\n%s", err, text)
	}
	return u
}

// out is an unload to a folder: the input, and more lines of OUTPUT.
func (e *env) out(dir, name, input string, output ...string) *loadspec.Unload {
	e.t.Helper()
	body := "  INPUT:\n    - " + input + "\n  OUTPUT:\n    - SINK: {FILE: '" + dir + "/" + name + "'}\n"
	for _, line := range output {
		body += "    - " + line + "\n"
	}
	return e.unload(body)
}

// unloaded runs an unload to its end and reads what it has written, by URL in
// the manifest's order. Everything that the manifest says is checked.
func (e *env) unloaded(u *loadspec.Unload, o Options) (Manifest, [][]byte) {
	e.t.Helper()
	if o.Job == "" {
		o.Job = "u" + strings.ToLower(fmt.Sprintf("%x", rand.Uint32()))
	}
	res, err := Unload(e.t.Context(), u, o)
	if err != nil {
		e.t.Fatal(err)
	}
	m, data := readManifest(e.t, strings.TrimSuffix(u.Sink.Locations[0], filepath.Base(u.Sink.Locations[0])))
	if res.Rows != m.Rows || res.Bytes != m.Bytes || res.BytesTotal != m.Bytes || res.Estimated {
		e.t.Errorf("result %+v, manifest %+v", res.Progress, m)
	}
	return m, data
}

// readManifest reads the only manifest of a folder and its objects.
func readManifest(t testing.TB, dir string) (m Manifest, objects [][]byte) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "*.manifest.json"))
	if len(names) != 1 {
		t.Fatalf("manifests in %s: %v", dir, names)
	}
	text, err := os.ReadFile(names[0])
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	var rows, bytes_, stored int64
	for _, o := range m.Objects {
		data, err := os.ReadFile(strings.TrimPrefix(o.URL, "file://"))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != o.SHA256 || int64(len(data)) != o.StoredBytes {
			t.Errorf("%+v has %d bytes with sum %x", o, len(data), sum)
		}
		rows, bytes_, stored = rows+o.Rows, bytes_+o.Bytes, stored+o.StoredBytes
		data = unpacked(t, o.URL, data)
		if m.Format != loadspec.FormatParquet && int64(len(data)) != o.Bytes {
			t.Errorf("%+v has %d bytes unpacked", o, len(data))
		}
		objects = append(objects, data)
	}
	if rows != m.Rows || bytes_ != m.Bytes || stored != m.StoredBytes || m.Checksum != "sha256" {
		t.Errorf("%+v: %d rows, %d and %d bytes", m, rows, bytes_, stored)
	}
	files := 0
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files++
			if strings.HasPrefix(d.Name(), ".") {
				t.Errorf("left behind: %s", path)
			}
		}
		return err
	})
	if files != len(m.Objects)+1 {
		t.Errorf("%d files in the folder, %d objects in the manifest", files, len(m.Objects))
	}
	return m, objects
}

// unpacked undoes a compression with the loader's own reader.
func unpacked(t testing.TB, name string, data []byte) []byte {
	t.Helper()
	if strings.HasSuffix(name, ".gz") { // another implementation
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if data, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
		return data
	}
	set := source.New([]loadspec.Source{{Locations: []string{strings.TrimPrefix(name, "file://")}}}, source.Options{})
	found, err := set.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st, err := set.Stream(t.Context(), found[0], loadspec.CompressionAuto, 0, throttle.New(0, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if data, err = io.ReadAll(st); err != nil {
		t.Fatal(err)
	}
	return data
}

// copied is what PostgreSQL's own COPY writes.
func (e *env) copied(sql string) []byte {
	e.t.Helper()
	c := e.pg.Connect(e.t, e.db)
	var b bytes.Buffer
	if _, err := c.PgConn().CopyTo(e.t.Context(), &b, sql); err != nil {
		e.t.Fatal(err)
	}
	return b.Bytes()
}

// sortedLines compares rows that have no line ends inside.
func sortedLines(data []byte) string {
	lines := strings.SplitAfter(string(data), "\n")
	sort.Strings(lines)
	return strings.Join(lines, "")
}

// manyRows is a table of enough blocks to be read in several ranges.
const manyRows = `create table many (id int primary key, day date, word text, amount numeric(12,2), note text);
	insert into many select i, case when i % 50 = 0 then null else date '2026-01-01' + i % 7 end, 'word ' || i % 1000, i / 7.0, case i % 5 when 0 then null when 1 then '' when 2 then 'a "quote"' when 3 then 'back\slash, tab	' else repeat('x', i % 200) || 'ä' end
	from generate_series(1, 60000) i`

// TestExtractLikeCopy compares with COPY's own output, byte for byte but for
// the order of rows.
func TestExtractLikeCopy(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), manyRows)
	for _, c := range []struct {
		name, file, options string
		output              []string
	}{
		{"csv", "a.csv", "format csv", []string{"FORMAT: csv"}},
		{"text", "a.txt", "format text", nil},
		{"gzip", "a.csv.gz", "format csv", []string{"FORMAT: csv"}},
		{"zstd", "a.csv.zst", "format csv", []string{"FORMAT: csv"}},
		{"lz4", "a.csv.lz4", "format csv", []string{"FORMAT: csv"}},
		{"snappy by key", "a.csv", "format csv", []string{"FORMAT: csv", "COMPRESSION: snappy"}},
		{"odd csv", "a.csv", `format csv, delimiter '|', quote '''', escape '\', null 'NIL', force_quote (word, id)`, []string{"FORMAT: csv", "DELIMITER: '|'", `QUOTE: "'"`, `ESCAPE: '\'`, "NULL_AS: NIL", "FORCE_QUOTE: [word, ID]"}},
		{"odd text", "a.txt", `format text, delimiter ';', null 'NIL'`, []string{"DELIMITER: ';'", "NULL_AS: NIL"}},
		{"latin1", "a.csv", "format csv, encoding 'latin1'", []string{"FORMAT: csv", "ENCODING: LATIN1"}},
		{"merged", "a.csv.gz", "format csv", []string{"FORMAT: csv", "MERGE: true"}},
		{"small objects", "a.csv", "format csv", []string{"FORMAT: csv", "MAX_SIZE: 300kB"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			u := e.out(dir, c.file, "TABLE: many", c.output...)
			u.Workers, u.Limit = 3, 4_000_000 // so that all workers get their share
			m, data := e.unloaded(u, Options{})
			if got, want := sortedLines(bytes.Join(data, nil)), sortedLines(e.copied("copy many to stdout with ("+c.options+")")); got != want {
				t.Errorf("%d bytes, want %d: rows differ", len(got), len(want))
			}
			switch {
			case u.Merge && (len(m.Objects) != 1 || !strings.HasSuffix(m.Objects[0].URL, ".csv.gz") || strings.Contains(m.Objects[0].URL, "00000")):
				t.Errorf("%+v", m.Objects)
			case u.MaxSize > 0 && len(m.Objects) < 10:
				t.Errorf("%d objects", len(m.Objects))
			case !u.Merge && u.MaxSize == 0 && len(m.Objects) < 2:
				t.Errorf("%d objects: nothing was parallel", len(m.Objects))
			}
			for _, o := range m.Objects {
				if u.MaxSize > 0 && o.Bytes > u.MaxSize {
					t.Errorf("%+v is too large", o)
				}
			}
		})
	}
}

// TestExtractSizesAndHeader cuts at record boundaries, with a heading for each.
func TestExtractSizesAndHeader(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), `create table w ("Odd, ""name""" int, b text); insert into w select i, repeat('y', 1000) || E'\n' || i from generate_series(1, 1000) i; insert into w values (0, repeat('z', 200000))`)
	m, data := e.unloaded(e.out(t.TempDir(), "w.csv", "QUERY: select * from w order by 1 desc;", "FORMAT: csv", "HEADER: true", "MAX_SIZE: 100kB", "NEWLINE: CRLF"), Options{})
	head := []byte("\"Odd, \"\"name\"\"\",b\r\n")
	var rows []byte
	for i, d := range data {
		if !bytes.HasPrefix(d, head) || !bytes.HasSuffix(d, []byte("\r\n")) || len(d) > 100_000 && i != len(data)-1 {
			t.Fatalf("object %d, %d bytes: %.60q … %q", i, len(d), d, d[max(0, len(d)-20):])
		}
		rows = append(rows, d[len(head):]...)
	}
	want := e.copied("copy (select * from w order by 1 desc) to stdout csv")
	if !bytes.Equal(bytes.ReplaceAll(rows, []byte("\r\n"), []byte("\n")), want) {
		t.Errorf("the rows differ or are in another order")
	}
	if len(data) < 12 || m.Rows != 1001 || m.Objects[len(data)-1].Rows != 1 || !strings.Contains(m.Objects[0].URL, "w.00000.u") {
		t.Errorf("%d objects, %+v", len(data), m)
	}
}

// TestExtractShapes unloads everything that is like a table.
func TestExtractShapes(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), manyRows+`;
		create table parted (id int, k int, v text) partition by range (k);
		create table parted_1 partition of parted for values from (0) to (10);
		create table parted_2 partition of parted for values from (10) to (20) partition by list (k);
		create table "Parted 2a" partition of parted_2 for values in (10, 11, 12);
		create table parted_2b partition of parted_2 default;
		insert into parted select i, i % 20, 'v' || i from generate_series(1, 40000) i;
		create table parent (a int, b text); create table child (c int, b text, a int); alter table child inherit parent;
		insert into parent select i, 'p' from generate_series(1, 100) i; insert into child select i, 'c', i + 1000 from generate_series(1, 100) i;
		create table empty (a int); create view seen as select id, word from many where id < 500; create materialized view kept as select * from many where id % 2 = 0;
		create table gen (a int, b int generated always as (a * 2) stored); insert into gen values (1), (2);
		create table gone (a int, b int, c int); alter table gone drop column b; insert into gone values (1, 3)`)
	for _, c := range []struct {
		input, want string
	}{
		{"TABLE: parted", "parted"},
		{"TABLE: parent", "parent"},
		{"TABLE: child", "child"},
		{"TABLE: '\"Parted 2a\"'", `"Parted 2a"`},
		{"TABLE: seen", "(select * from seen)"},
		{"TABLE: kept", "(select * from kept)"},
		{"TABLE: gen", "gen"},
		{"TABLE: public.gone", "gone"},
		{"QUERY: 'select count(*), 1 as x, 2 as x from many -- a comment'", "(select 60000, 1, 2)"},
		{"QUERY: 'with a as (select 5) table a ;; '", "(select 5)"},
		{"QUERY: values (1), (2)", "(values (1), (2))"},
	} {
		t.Run(c.input, func(t *testing.T) {
			t.Parallel()
			_, data := e.unloaded(e.out(t.TempDir(), "x.csv", c.input, "FORMAT: csv"), Options{})
			want := c.want
			if !strings.HasPrefix(want, "(") {
				want = "(select * from " + want + ")"
				if c.want == "gen" {
					want = "(select a from gen)"
				}
			}
			if got, want := sortedLines(bytes.Join(data, nil)), sortedLines(e.copied("copy "+want+" to stdout csv")); got != want {
				t.Errorf("%d bytes, want %d: rows differ", len(got), len(want))
			}
		})
	}
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		if m, _ := e.unloaded(e.out(t.TempDir(), "x.csv", "TABLE: empty", "FORMAT: csv", "HEADER: true"), Options{}); m.Rows != 0 || len(m.Objects) != 0 {
			t.Errorf("%+v", m)
		}
	})
}

// TestExtractForeign reads a foreign table as one stream, also as a partition.
func TestExtractForeign(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), "create table parted (a text, k int) partition by list (k); create table here partition of parted for values in (1); insert into parted select 'row ' || i, 1 from generate_series(1, 1000) i")
	if e.scalar("select count(*)::text from pg_available_extensions where name = 'file_fdw'") == "0" {
		t.Skip("PostgreSQL's file_fdw is not installed here")
	}
	file := filepath.Join(e.pg.Dir, "rows")
	if err := os.WriteFile(file, []byte("far,2\naway,2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	e.pg.Exec(t, e.db, "create extension file_fdw; create server files foreign data wrapper file_fdw; create foreign table there partition of parted for values in (2) server files options (filename '"+file+"', format 'csv')")
	for _, table := range []string{"parted", "there"} {
		_, data := e.unloaded(e.out(t.TempDir(), "x.csv", "TABLE: "+table, "FORMAT: csv"), Options{})
		if got, want := sortedLines(bytes.Join(data, nil)), sortedLines(e.copied("copy (select * from "+table+") to stdout csv")); got != want {
			t.Errorf("%s: %s, want %s", table, got, want)
		}
	}
}

// TestExtractRefuses what cannot be unloaded, with a reason, and leaves nothing.
func TestExtractRefuses(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), "create table items (id int, name text, \"Odd\" int); create sequence sq; create role reader login password 'r'; insert into items select i from generate_series(1, 10) i")
	for _, c := range []struct {
		input  string
		output []string
		kind   fault.Kind
		want   string
	}{
		{"TABLE: item", nil, fault.Usage, "item does not exist"},
		{"TABLE: nowhere.items", nil, fault.Usage, "nowhere.items does not exist"},
		{"TABLE: sq", nil, fault.Usage, "no table"},
		{"QUERY: selec 1", nil, fault.Usage, "INPUT.QUERY"},
		{"QUERY: delete from items returning *", nil, fault.Usage, "INPUT.QUERY"},
		{"QUERY: \"select nextval('sq')\"", nil, fault.Usage, "reads only"},
		{"QUERY: select 1 / (id - 10) from items order by id", nil, fault.Failed, "division by zero"},
		{"TABLE: items", []string{"FORMAT: csv", "FORCE_QUOTE: [nam]"}, fault.Usage, "FORCE_QUOTE: column nam"},
		{"TABLE: items", []string{"FORMAT: csv", "PARTITION_BY: [odd]"}, fault.Usage, "PARTITION_BY: column odd"},
		{"QUERY: select 1 as a, 2 as a", []string{"FORMAT: json"}, fault.Usage, "2 columns are called a"},
		{"QUERY: select 1 as a, 2 as a", []string{"FORMAT: parquet"}, fault.Usage, "2 columns are called a"},
		{"TABLE: items", []string{"ESCAPE: 'OFF'"}, fault.Usage, "OUTPUT.ESCAPE"},
	} {
		t.Run(c.input, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			_, err := Unload(t.Context(), e.out(dir, "x", c.input, c.output...), Options{Job: "u"})
			if err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != c.kind {
				t.Errorf("%v (%v)", err, fault.KindOf(err))
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestExtractIsOneState moves amounts between accounts while they are
// unloaded, and adds and removes rows whose sum is nothing.
func TestExtractIsOneState(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), `create table acc (id int, amount bigint, pad text) with (fillfactor = 50);
		insert into acc select i, 1000, repeat('p', 300) from generate_series(1, 40000) i; create index on acc (id)`)
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var moves sync.Map
	for w := range 3 {
		writers.Go(func() {
			c, err := pgx.Connect(t.Context(), e.pg.DSN(e.db))
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
			n := 0
			for ; ctx.Err() == nil; n++ {
				a, b, x := rand.IntN(40000)+1, rand.IntN(40000)+1, rand.IntN(500)
				_, err := c.Exec(t.Context(), fmt.Sprintf(`begin; update acc set amount = amount - %d where id = %d; update acc set amount = amount + %d where id = %d;
					insert into acc values (-1, %d, 'new'), (-1, -%d, 'new'); delete from acc where ctid in (select ctid from acc where id = %d) and false; commit`, x, min(a, b), x, max(a, b), x, x, a))
				if err != nil && !strings.Contains(err.Error(), "deadlock") {
					t.Error(err)
					return
				}
			}
			moves.Store(w, n)
		})
	}
	counts := map[int64]bool{}
	for i := range 6 {
		u := e.out(t.TempDir(), "acc.csv", "TABLE: acc", "FORMAT: csv")
		u.Workers, u.Limit = 3, 30_000_000 // so that it takes a while
		_, data := e.unloaded(u, Options{Job: fmt.Sprintf("u%d", i)})
		var sum, n int64
		for line := range bytes.Lines(bytes.Join(data, nil)) {
			var id, amount int64
			if _, err := fmt.Sscanf(string(line), "%d,%d,", &id, &amount); err != nil {
				t.Fatal(err)
			}
			sum += amount
			n++
		}
		if sum != 40_000_000 || n%2 != 0 {
			t.Errorf("unload %d: %d rows with the sum %d, want 40000000: not one state", i, n, sum)
		}
		counts[n] = true
	}
	stop()
	writers.Wait()
	e.sessionsGone("u0")
	total := 0
	moves.Range(func(_, n any) bool { total += n.(int); return true })
	if len(counts) < 3 || total < 50 {
		t.Errorf("%d transactions, %d different counts: too few to tell anything", total, len(counts))
	}
}

// sessionsGone waits until no session of the job is left on the server.
func (e *env) sessionsGone(job string) {
	e.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		n := e.scalar("select count(*)::text from pg_stat_activity where application_name = 'cw load " + job + "'")
		if n == "0" {
			return
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("%s sessions of %s are left", n, job)
		}
	}
}
