package format

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/hamba/avro/v2/ocf"
)

func TestTolerant(t *testing.T) {
	t.Parallel()
	const head = "CREATE TABLE `t` (`a` int, `b` text);\nINSERT INTO t VALUES "
	type bad = Unconverted
	for _, c := range []struct {
		name string
		in   Input
		data string
		rows string
		bad  []bad
		err  string
	}{
		{"json: a broken line", jsonInput("a"), "{\"a\":1}\n{\"a\":2,,}\n{\"a\":3}\n", "1\n!3\n", []bad{{"line 2, column 8: json: a key in double quotes should stand here", `{"a":2,,}`}}, ""},
		{"json: a line without its end", jsonInput("a"), "{\"a\":1\n{\"a\":3}\n", "!3\n", []bad{{"line 2, column 1: json: a comma or } should stand here", `{"a":1`}}, ""},
		{"json: garbage", jsonInput("a"), "{\"a\":1}\nwhat\n\tis\n{\"a\":3}\nend", "1\n!3\n!", []bad{{"line 2, column 1: json: 'w' where an object should begin", "what\n\tis"}, {"line 5, column 1: json: 'e' where an object should begin", "end"}}, ""},
		{"json: the last is cut off", jsonInput("a"), "{\"a\":1}\n{\"a\":", "1\n!", []bad{{"line 2, column 1: json: the object that begins here does not end", `{"a":`}}, ""},
		{"json: no such character", jsonInput("a"), "[{\"a\":\"\\u0000\",\"b\":{\"c\":\n[]}},\n{\"a\":3}]", "!3\n", []bad{{`line 1, column 8: json: \u0000 cannot be stored in a text column: the database has no such character`, "{\"a\":\"\\u0000\",\"b\":{\"c\":\n[]}}"}}, ""},
		{"json: half a pair, no lines", jsonInput("a"), `{"a":"\ud800"}{"a":3}`, "!3\n", []bad{{`line 1, column 7: json: a \u escape is half of a surrogate pair: it is no character`, `{"a":"\ud800"}`}}, ""},
		{"json: broken in an array", jsonInput("a"), "[{\"a\":1},\n{\"a\":2,,},\n{\"a\":3}]", "1\n", nil, "line 2, column 8"},
		{"json: broken, not in lines", jsonInput("a"), "{\"a\":\n1}\n{\"a\":2,,}\n{\"a\":3}", "1\n", nil, "line 3, column 8"},
		{"dump: values", dumpInput("t", "a b"), head + "(1,'x'),(2,'a\\0)'),(3),(4,now()),(5,'y');", "1\tx\n!!!5\ty\n", []bad{
			{"line 2, column 33: mysqldump: column b: " + errZeroByte.Error(), `(2,'a\0)')`}, {"line 2, column 43: mysqldump: 1 values, but there are 2 columns", "(3)"}, {"line 2, column 48: mysqldump: \"now(\" is no value that dumps have", "(4,now())"},
		}, ""},
		{"dump: not whole", dumpInput("t", "a b"), head + "(1,'x'),(2,'a", "1\tx\n", nil, "the dump ends inside"},
		{"avro", avroInput("b a"), string(avroFile(t, `{"type":"record","name":"r","fields":[{"name":"a","type":"string"},{"name":"b","type":["null","long"]}]}`, ocf.Null, 2,
			map[string]any{"a": "x", "b": nil}, map[string]any{"a": "\x00", "b": map[string]any{"long": int64(5)}}, map[string]any{"a": "z", "b": nil})), "\\N\tx\n!\\N\tz\n", []bad{{"row 2: avro: column a: " + errZeroByte.Error(), "5\t?"}}, ""},
	} {
		in := c.in
		in.Tolerant = true
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(c.data), "by the byte": iotest.OneByteReader(strings.NewReader(c.data))} {
			got, err := convert(in, r)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%s, %s: %v", c.name, name, err)
			}
			var rows strings.Builder
			var list []bad
			_ = EachRun([]byte(got), func(begin, end int, n int64) error {
				rows.WriteString(got[begin:end])
				if int64(strings.Count(got[begin:end], "\n")) != n {
					t.Errorf("%s: %d rows in %q", c.name, n, got[begin:end])
				}
				return nil
			}, func(_, _ int, u Unconverted) error {
				rows.WriteByte('!')
				list = append(list, u)
				return nil
			})
			if rows.String() != c.rows || fmt.Sprintf("%q", list) != fmt.Sprintf("%q", c.bad) {
				t.Errorf("%s, %s:\ngot  %q %q\nwant %q %q", c.name, name, rows.String(), list, c.rows, c.bad)
			}
			if Marked([]byte(got)) != (len(c.bad) > 0) {
				t.Errorf("%s: Marked is wrong", c.name)
			}
		}
		// Without tolerance the same is an error.
		if _, err := convert(c.in, strings.NewReader(c.data)); err == nil {
			t.Errorf("%s: no error without tolerance", c.name)
		}
	}
	if Marked([]byte("a\x00b\n")) || !Marked([]byte("\x00")) || Marked(nil) {
		t.Error("Marked is wrong")
	}
}

// What is tolerated may not depend on how the data arrives either.
func FuzzTolerant(f *testing.F) {
	f.Add("{\"a\":1}\n{\"a\":2,,}\nx\n{\"a\":3}", uint8(1), false)
	f.Add("CREATE TABLE t (`a` int);INSERT INTO t VALUES (1),('x\\0'),(2,3),((')'));", uint8(2), true)
	f.Fuzz(func(t *testing.T, data string, chunk uint8, dump bool) {
		in := jsonInput("a")
		if dump {
			in = dumpInput("t", "a")
		}
		in.Tolerant = true
		whole, err := convert(in, strings.NewReader(data))
		parts, err2 := convert(in, &chunks{strings.NewReader(data), int(chunk%9) + 1})
		if whole != parts || (err == nil) != (err2 == nil) {
			t.Fatalf("whole: %q, %v\nin pieces: %q, %v", whole, err, parts, err2)
		}
		var again bytes.Buffer
		_ = EachRun([]byte(whole), func(begin, end int, _ int64) error {
			again.WriteString(whole[begin:end])
			return nil
		}, func(begin, end int, _ Unconverted) error {
			again.WriteString(whole[begin:end])
			return nil
		})
		if again.String() != whole {
			t.Fatalf("%q was cut into %q", whole, again.String())
		}
	})
}
