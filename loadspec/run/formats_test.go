package run

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/hamba/avro/v2/ocf"
	"github.com/parquet-go/parquet-go"

	"cw/playground/gptest"
	"cw/playground/pgtest"
	"cw/playground/s3test"
)

// formatted is rows in one of the formats, and the same as csv for the oracle.
type formatted struct {
	name   string // of the object
	format string
	more   string // keys of INPUT
	data   []byte
	csv    []byte
}

// jsonRows writes rows of items with everything that text can have, and keys
// that nobody wants.
func jsonRows(n int) formatted {
	notes := []string{"plain", "tab\there", "line\nend\r", `back\slash \N \.`, "", "é😀\u2028", `"quoted", 'so'`, "\b\f\x01"}
	var lines, csv bytes.Buffer
	for i := range n {
		note := notes[i%len(notes)]
		row := map[string]any{"Id": i, "skip": []any{1, map[string]any{"id": "no"}}, "amount": json.Number(fmt.Sprintf("%d.%02d", i, i%100)), "sub": map[string]any{"list": []any{0, note}}}
		text := `"` + strings.ReplaceAll(note, `"`, `""`) + `"`
		name := fmt.Sprintf("name %d", i%97)
		if i%5 > 0 {
			row["name"] = name
		} else {
			name = ""
		}
		b, _ := json.Marshal(row)
		lines.Write(append(b, '\n'))
		fmt.Fprintf(&csv, "%d,%s,%d.%02d,%s\n", i, name, i, i%100, text)
	}
	return formatted{name: "x.jsonl", format: "json", more: "    - JSON: {note: '$.sub.list[1]'}\n", data: lines.Bytes(), csv: csv.Bytes()}
}

func formats(n int) []formatted {
	lines := jsonRows(n)
	packed := lines
	packed.name, packed.data = "x.jsonl.gz", gz(lines.data)
	return []formatted{lines, packed, parquetRows(n), avroRows(n), dumpRows(n)}
}

// dumpRows is a dump with two tables.
func dumpRows(n int) formatted {
	notes := [][2]string{{"plain", "plain"}, {`it\'s`, "it's"}, {`a\nb\\`, "a\nb\\"}, {"", ""}, {`''`, "'"}, {"é😀), (", "é😀), ("}}
	var csv, file bytes.Buffer
	file.WriteString("-- a dump\nCREATE TABLE `items` (\n  `id` int(11) NOT NULL,\n  `note` text,\n  `name` varchar(9),\n  `amount` decimal(9,2)\n);\nCREATE TABLE `x` (`a` int);\n")
	for i := range n {
		switch {
		case i == 0:
			file.WriteString("INSERT INTO `items` VALUES ")
		case i%300 == 0:
			file.WriteString(";\nINSERT INTO `x` VALUES (1),(2);\nINSERT INTO `items` VALUES ")
		default:
			file.WriteString(",")
		}
		name, quoted := "", "NULL"
		if i%5 > 0 {
			name = fmt.Sprintf("name %d", i%97)
			quoted = "'" + name + "'"
		}
		note := notes[i%len(notes)]
		fmt.Fprintf(&file, "(%d,'%s',%s,%d.%02d)", i, note[0], quoted, i, i%100)
		fmt.Fprintf(&csv, "%d,%s,%d.%02d,\"%s\"\n", i, name, i, i%100, note[1])
	}
	file.WriteString(";\n")
	return formatted{name: "x.sql.gz", format: "mysqldump", data: gz(file.Bytes()), csv: csv.Bytes()}
}

// parquetRows is a Parquet file of items, in several row groups.
func parquetRows(n int) formatted {
	type item struct {
		ID     int32   `parquet:"ID"`
		Skip   []int64 `parquet:"skip,list"`
		Name   *string `parquet:"name,optional,dict"`
		Amount int64   `parquet:"amount,decimal(2:18)"`
		Note   string  `parquet:"note"`
	}
	notes := []string{"plain", "tab\there", "line\nend", `back\slash`, "", "é😀"}
	var csv, file bytes.Buffer
	w := parquet.NewGenericWriter[item](&file, parquet.MaxRowsPerRowGroup(int64(n/4)), parquet.Compression(&parquet.Zstd))
	for i := range n {
		row := item{ID: int32(i), Skip: []int64{1, 2}, Amount: int64(i), Note: notes[i%len(notes)]}
		name := ""
		if i%5 > 0 {
			name = fmt.Sprintf("name %d", i%97)
			row.Name = &name
		}
		_, _ = w.Write([]item{row})
		fmt.Fprintf(&csv, "%d,%s,%d.%02d,\"%s\"\n", i, name, i/100, i%100, row.Note)
	}
	_ = w.Close()
	return formatted{name: "x.parquet", format: "parquet", data: file.Bytes(), csv: csv.Bytes()}
}

// avroRows is an Avro file of items, in many blocks.
func avroRows(n int) formatted {
	notes := []string{"plain", "tab\there", "line\nend", `back\slash`, "", "é😀"}
	var csv, file bytes.Buffer
	w, err := ocf.NewEncoder(`{"type":"record","name":"item","fields":[{"name":"ID","type":"int"},{"name":"skip","type":{"type":"array","items":"long"}},
		{"name":"name","type":["null","string"]},{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":2}},{"name":"note","type":"string"}]}`,
		&file, ocf.WithCodec(ocf.Deflate), ocf.WithBlockLength(700))
	if err != nil {
		panic(err)
	}
	for i := range n {
		row := map[string]any{"ID": i, "skip": []any{int64(1)}, "name": nil, "amount": big.NewRat(int64(i), 100), "note": notes[i%len(notes)]}
		name := ""
		if i%5 > 0 {
			name = fmt.Sprintf("name %d", i%97)
			row["name"] = map[string]any{"string": name}
		}
		_ = w.Encode(row)
		fmt.Fprintf(&csv, "%d,%s,%d.%02d,\"%s\"\n", i, name, i/100, i%100, notes[i%len(notes)])
	}
	_ = w.Close()
	return formatted{name: "x.avro", format: "avro", data: file.Bytes(), csv: csv.Bytes()}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	for _, f := range formats(20_000) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, pg, items)
			e.oracle("oracle", "format csv", f.csv)
			spec := e.spec(simple(e.file(f.name, f.data), f.format, "items", f.more)+smallSplits, 0)
			rep, err := Check(t.Context(), e.options(spec, "j"))
			if err != nil {
				t.Fatalf("check: %v", err)
			}
			if rep.Sampled == 0 || !strings.HasPrefix(rep.Codec, f.format) || len(rep.FirstRows) == 0 || strings.Count(rep.FirstRows[0], "\t") != 3 {
				t.Errorf("check: %d rows tried, codec %s, first rows %q", rep.Sampled, rep.Codec, rep.FirstRows)
			}
			res, err := Run(t.Context(), e.options(spec, "j"))
			if err != nil {
				t.Fatal(err)
			}
			same(t, e)
			if res.Rows != 20_000 || res.Bytes != int64(len(f.data)) || res.BytesTotal != res.Bytes {
				t.Errorf("result %+v", res)
			}
		})
	}
}

// TestFormatsInterrupted stops a load of converted objects again and again.
func TestFormatsInterrupted(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	for _, f := range formats(30_000) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, pg, items)
			e.oracle("oracle", "format csv", f.csv)
			srv := s3test.Start(t, "data")
			srv.Put(t, "data", f.name, f.data)
			e.o.Credentials = srv.Credentials()
			spec := e.spec(fmt.Sprintf("  INPUT:\n    - SOURCE: {URL: ['s3://data/%s'], ENDPOINT: '%s'}\n    - FORMAT: %s\n%s  OUTPUT:\n    - TABLE: items\n", f.name, srv.Endpoint, f.format, f.more)+smallSplits, 0)
			rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 8))
			runs := e.runToEnd(e.options(spec, "j"), 200, func(i int) (context.Context, context.CancelFunc) {
				return context.WithTimeout(t.Context(), time.Duration(20+rng.IntN(20+15*i))*time.Millisecond)
			})
			same(t, e)
			if runs < 3 {
				t.Errorf("only %d runs: nothing was interrupted", runs)
			}
		})
	}
}

// TestOtherConversionIsRefused resumes a job whose offsets mean something
// else now.
func TestOtherConversionIsRefused(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), items)
	f := jsonRows(2_000)
	file := e.file(f.name, f.data)
	first := e.spec(simple(file, f.format, "items", f.more), 0)
	if _, err := Run(t.Context(), e.options(first, "j")); err != nil {
		t.Fatal(err)
	}
	for _, more := range []string{"", f.more + "    - COLUMNS: [{id: int}, {note: text}]\n"} {
		_, err := Run(t.Context(), e.options(e.spec(simple(file, f.format, "items", more), 0), "j"))
		if err == nil || !strings.Contains(err.Error(), "the job was begun with the conversion json/1-") {
			t.Errorf("%q: %v", more, err)
		}
	}
	if _, err := Run(t.Context(), e.options(first, "j")); err != nil {
		t.Errorf("the same again: %v", err)
	}
}

// TestConvertedRowsAreRejected has rows that the database refuses in an
// object that is converted.
func TestConvertedRowsAreRejected(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), items)
	data := []byte(`{"id":1,"name":"a"}` + "\n" + `{"id":"x","name":"b\nc"}` + "\n" + `{"id":3}`)
	spec := e.spec(simple(e.file("x.json", data), "json", "items", "    - ERROR_LIMIT: 5\n"), 0)
	res, err := Run(t.Context(), e.options(spec, "j"))
	if err != nil || res.Rows != 2 || res.Rejected != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	if got := e.scalar("select line || ':' || row_text from cw.load_errors"); got != `2:x	b\nc	\N	\N` {
		t.Errorf("kept: %q", got)
	}
}

func TestGreenplumFormats(t *testing.T) {
	t.Parallel()
	gp := gptest.Start(t, 2)
	for _, f := range formats(10_000) {
		t.Run(f.name, func(t *testing.T) {
			e := newGPEnv(t, gp)
			spec := e.spec(simple(e.file(f.name, f.data), f.format, "items", f.more))
			if _, err := Check(t.Context(), e.options(spec)); err != nil {
				t.Fatalf("check: %v", err)
			}
			res, err := Run(t.Context(), e.options(spec))
			if err != nil {
				t.Fatal(err)
			}
			e.same(f.csv)
			if res.Rows != 10_000 {
				t.Errorf("%+v", res)
			}
		})
	}
}
