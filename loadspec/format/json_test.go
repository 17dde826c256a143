package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"cw/fault"
	"cw/loadspec"
)

func jsonInput(columns string, paths ...string) Input {
	in := Input{URL: "x.json", Convert: loadspec.Convert{Kind: loadspec.FormatJSON}, MaxRow: 1 << 20}
	for c := range strings.FieldsSeq(columns) {
		name, typ, _ := strings.Cut(c, ":")
		in.Columns = append(in.Columns, loadspec.Column{Name: name, Type: typ})
	}
	for _, p := range paths {
		column, path, _ := strings.Cut(p, "=")
		steps, err := loadspec.ParseJSONPath(path)
		if err != nil {
			panic(err)
		}
		in.Convert.Paths = append(in.Convert.Paths, loadspec.JSONPath{Column: column, Steps: steps})
	}
	return in
}

func convert(in Input, r io.Reader) (string, error) {
	rows, err := Rows(in, r)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(rows)
	return string(b), err
}

func TestJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		columns string
		paths   []string
		data    string
		want    string
	}{
		{"id name", nil, `{"id":1,"name":"a"}` + "\n" + `{"name":"b","id":2}`, "1\ta\n2\tb\n"},
		{"id name", nil, "\xef\xbb\xbf  {\"id\" : 1 , \n\"name\" : null }{\"other\":[{}],\"id\":-0.10e+05}", "1\t\\N\n-0.10e+05\t\\N\n"},
		{"id", nil, `[{"id":1},{"id":12345678901234567890.123456789012345678}] [] [{"id":true}] {"id":false}`, "1\n12345678901234567890.123456789012345678\ntrue\nfalse\n"},
		{"orderid", nil, `{"orderId":1}{"orderId":1,"orderid":2}{"orderid":3,"ORDERID":4}`, "1\n2\n3\n"},
		{"OrderId", nil, `{"orderid":1}{"OrderId":2}`, "\\N\n2\n"},
		{"a b", nil, `{"a":"tab\there \\ \"q\" \/ \b\f\n\r","b":"\u00e9\ud83d\ude00\u0009\u005c"}`, "tab\\there \\\\ \"q\" / \b\f\\n\\r\té😀\\t\\\\\n"},
		{"a:jsonb b:text", nil, "{\"a\":\"x\\n\\u0041\",\"b\":{\"k\" : [1,\n\"\\\"\"]}}", "\"x\\\\n\\\\u0041\"\t{\"k\" : [1,\\n\"\\\\\"\"]}\n"},
		{"a:json", nil, `{"a":null}{"a":1}{"a":"null"}`, "\\N\n1\n\"null\"\n"},
		{"id first all:json", []string{"id=$.order.id", "first=$.items[1]['sku.x']", "all=$"}, `{"order":{"id":7},"items":[0,{"sku.x":"s"}]}`, "7\ts\t{\"order\":{\"id\":7},\"items\":[0,{\"sku.x\":\"s\"}]}\n"},
		{"o id", []string{"o=$.o", "id=$.o.id"}, `{"o":{"id":1}}{"o":3}{"o":{"id":1},"o":{}}`, "{\"id\":1}\t1\n3\t\\N\n{}\t\\N\n"},
		{"id", nil, `{"id":1,"id":2,"id":null}`, "\\N\n"},
		{"\u00e9", nil, `{"\u00e9":1}{"é":2}`, "1\n2\n"},
		{"a", nil, `{"a":""}{"a":"\\."}{"a":"\\N"}`, "\n\\\\.\n\\\\N\n"},
		{"a", nil, "", ""},
		{"a", nil, " [ ] ", ""},
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(c.data), "by the byte": iotest.OneByteReader(strings.NewReader(c.data))} {
			got, err := convert(jsonInput(c.columns, c.paths...), r)
			if err != nil || got != c.want {
				t.Errorf("%s, %s: %q, %v, want %q", c.data, name, got, err, c.want)
			}
		}
	}
}

func TestJSONErrorsNameThePlace(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		"{\"a\":1}\n{\"a\":01}\n":             "line 2, column 7: json: a comma or } should",
		"{\"a\":1}\n{\"a\":1,}\n":             "line 2, column 8: json: a key",
		"{\"a\":1}\n\n  {\"a\":\"\\ud800x\"}": `line 3, column 9: json: a \u escape is half`,
		"{\"a\":\"x\\u0000\"}":                `line 1, column 8: json: \u0000 cannot`,
		"{\"a\":\"\n\"}":                      "line 1, column 7: json: a control character",
		"{\"a\":1}\n{\"a\":":                  "line 2, column 1: json: the object that begins here does not end",
		"1":                                   "line 1, column 1: json: '1' where an object",
		"[{\"a\":1},]":                        "line 1, column 10: json: ']' where an object must follow",
		"[{\"a\":1} {\"a\":2}]":               "line 1, column 10: json: '{' where",
		"[{\"a\":1}":                          "line 1, column 9: json: the array is not closed",
		"{\"a\":nul}":                         "line 1, column 6: json: a value should",
		"{\"a\":\"\\x\"}":                     "line 1, column 7: json: unknown escape",
		"{\"a\":1." + "}":                     "line 1, column 8: json: a digit",
		"{'a':1}":                             "line 1, column 2: json: a key in double quotes",
		"{\"a\":\"" + strings.Repeat("x", 3<<20) + "\"}": "line 1, column 1: json: row is longer than MAX_LINE_LENGTH",
		"{\"a\":" + strings.Repeat("[", 20000):           "nested too deep",
	} {
		got, err := convert(jsonInput("a"), strings.NewReader(data))
		var at *ContentError
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &at) || fault.HintOf(err) == "" {
			t.Errorf("%.60s: %v, want %s", data, err, want)
		}
		if strings.HasPrefix(data, "{\"a\":1}\n") && got != "1\n" {
			t.Errorf("%.60s: rows before the error: %q", data, got)
		}
	}
	if _, err := convert(jsonInput("id", "ids=$.x"), strings.NewReader("")); err == nil || !strings.Contains(fault.HintOf(err), "did you mean id") {
		t.Errorf("a path for no column: %v", err)
	}
}

// FuzzJSON holds the parser against encoding/json, which agrees about what is
// JSON and what stands in it.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"b":"x"}`, `[{"a":[1,{"b":null}]},{"a":-1.5e3}]`, `{"a":"\u00e9\n"}`, `{"a":tru}`, `{"A":"x","a":"y"}`, `{"a":{"b":{"c":[[]]}},"b":""}`, "{\"a\":1}\n{}", `{"a":"\ud83d\ude00"}`, `{"\u0061":0}`,
	} {
		f.Add(s, uint8(3))
	}
	f.Fuzz(func(t *testing.T, data string, chunk uint8) {
		in := jsonInput("a b:json c", "c=$.a.b")
		got, err := convert(in, strings.NewReader(data))
		if again, err2 := convert(in, &chunks{strings.NewReader(data), int(chunk%7) + 1}); again != got || fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Fatalf("in pieces: %q, %v; whole: %q, %v", again, err2, got, err)
		}
		want, ok := byEncodingJSON(data)
		if !ok {
			return
		}
		if want == nil {
			if err == nil {
				t.Fatalf("%q: accepted as %q", data, got)
			}
			return
		}
		if err != nil || got != string(want) {
			t.Fatalf("%q: %q, %v; want %q", data, got, err, want)
		}
	})
}

type chunks struct {
	r io.Reader
	n int
}

func (c *chunks) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.n)]) }

// byEncodingJSON is what should come out; nil when it is no JSON, false when
// the two are meant to differ.
func byEncodingJSON(data string) ([]byte, bool) {
	if !utf8.ValidString(data) || strings.Contains(data, `\u`) || strings.HasPrefix(data, "\xef\xbb\xbf") {
		return nil, false
	}
	var out bytes.Buffer
	dec := json.NewDecoder(strings.NewReader(data))
	dec.UseNumber()
	for {
		var top json.RawMessage
		if err := dec.Decode(&top); errors.Is(err, io.EOF) {
			return append([]byte{}, out.Bytes()...), true
		} else if err != nil {
			return nil, true
		}
		items := []json.RawMessage{top}
		if top[0] == '[' {
			_ = json.Unmarshal(top, &items)
		}
		for _, item := range items {
			var o map[string]json.RawMessage
			if item[0] != '{' || json.Unmarshal(item, &o) != nil {
				return nil, item[0] != '{'
			}
			for k := range o {
				if k != strings.ToLower(k) {
					return nil, false
				}
			}
			if strings.Count(string(item), `"a"`) > 1 || strings.Count(string(item), `"b"`) > 1 {
				return nil, false // twice the same key: whole values replace each other
			}
			var inner map[string]json.RawMessage
			_ = json.Unmarshal(o["a"], &inner)
			out.WriteString(textOf(o["a"], false) + "\t" + textOf(o["b"], true) + "\t" + textOf(inner["b"], false) + "\n")
		}
	}
}

func textOf(raw json.RawMessage, asJSON bool) string {
	if raw == nil || string(raw) == "null" {
		return `\N`
	}
	s := string(raw)
	if raw[0] == '"' && !asJSON {
		_ = json.Unmarshal(raw, &s)
	}
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s)
}

func jsonLines(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"l_orderkey":%d,"l_partkey":%d,"l_quantity":%d.00,"l_extendedprice":%d.%02d,"l_discount":0.0%d,"l_returnflag":"N","l_shipdate":"1996-0%d-1%d","l_shipinstruct":"DELIVER IN PERSON","l_comment":"carefully \"final\" deposits %d"}`+"\n",
			i, i*7%200000, i%50, i*13%90000, i%100, i%10, 1+i%9, i%10, i)
	}
	return b.Bytes()
}

func BenchmarkJSON(b *testing.B) {
	data := jsonLines(20_000)
	in := jsonInput("l_orderkey l_partkey l_quantity l_extendedprice l_discount l_returnflag l_shipdate l_shipinstruct l_comment")
	b.Run("cw", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			rows, err := Rows(in, bytes.NewReader(data))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, rows); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			dec := json.NewDecoder(bytes.NewReader(data))
			for {
				var o map[string]json.RawMessage
				if err := dec.Decode(&o); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
