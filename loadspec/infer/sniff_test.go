package infer

import (
	"reflect"
	"testing"

	"cw/loadspec"
)

func TestSniff(t *testing.T) {
	t.Parallel()
	table := []string{"id", "name", "price"}
	for _, c := range []struct {
		name, head string
		columns    []string
		want       Guess
	}{
		{"csv", "1,ann,2.5\n2,bob,3\n", nil, Guess{Format: "csv", Delimiter: ',', Fields: 3}},
		{"csv with a header", "id,name,price\n1,ann,2.5\n2,b", nil, Guess{Format: "csv", Delimiter: ',', Fields: 3, Header: true, Names: table}},
		{"a header of the table alone", "ID,\"name\",Price\nx,y,z\n", table, Guess{Format: "csv", Delimiter: ',', Fields: 3, Header: true, Names: []string{"ID", "name", "Price"}}},
		{"words are not a header", "ann,bob\ncarl,dora\n", nil, Guess{Format: "csv", Delimiter: ',', Fields: 2}},
		{"quoted line ends and delimiters", "1,\"a\nb;c\",3\r\n4,\"\"\"x\"\"\",6\r\n", nil, Guess{Format: "csv", Delimiter: ',', Fields: 3}},
		{"semicolons", "1;2,5;x\n2;3,5;y\n", nil, Guess{Format: "csv", Delimiter: ';', Fields: 3}},
		{"as many as the table has", "1|a,b,c,d|3\n1|a,b,c,d|3\n", table, Guess{Format: "csv", Delimiter: '|', Fields: 3}},
		{"tabs", "1\tann\\\\x\t\\N\n2\tbob\t3\n", nil, Guess{Format: "text", Delimiter: '\t', Fields: 3}},
		{"tabs with quotes", "1\t\"ann\"\n", nil, Guess{Format: "csv", Delimiter: '\t', Fields: 2}},
		{"one column", "1\n2\n", nil, Guess{Format: "csv", Delimiter: ','}},
		{"byte order mark", "\xef\xbb\xbfid,name\n1,ann\n", nil, Guess{Format: "csv", Delimiter: ',', Fields: 2, Header: true, Names: []string{"id", "name"}}},
		{"json", "{\"a\": 1}\n", nil, Guess{Format: loadspec.FormatJSON}},
		{"json array", " [{\"a\": 1},\n", nil, Guess{Format: loadspec.FormatJSON}},
		{"parquet", "PAR1\x15\x04", nil, Guess{Format: loadspec.FormatParquet}},
		{"avro", "Obj\x01\x04", nil, Guess{Format: loadspec.FormatAvro}},
		{"dump", "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump\n", nil, Guess{Format: loadspec.FormatMySQLDump}},
		{"nothing", "", nil, Guess{Format: "csv", Delimiter: ','}},
	} {
		if got := Sniff([]byte(c.head), c.columns); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

func FuzzSniff(f *testing.F) {
	f.Add([]byte("id,name\n1,\"a\"\"b\"\n"))
	f.Add([]byte("1\t2\r\n"))
	f.Fuzz(func(t *testing.T, head []byte) {
		g := Sniff(head, []string{"id"})
		if g.Header && len(g.Names) == 0 {
			t.Errorf("a header without names: %+v", g)
		}
	})
}
