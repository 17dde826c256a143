package loadspec

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
)

func TestStampsAreThoseThatMappingUses(t *testing.T) {
	t.Parallel()
	file := []Column{{"a", "int"}, {"cw_line", "int"}}
	for expr, want := range map[string]string{
		"a": "", "cw_object": "cw_object", "CW_Object || a": "cw_object", "cw_line": "", "my_cw_object": "", "cw_objects": "", "cw_object||cw_line": "cw_object",
	} {
		s := Spec{Output: Output{Mapping: []Mapping{{"x", "a"}, {"y", expr}}}}
		var got []string
		for _, c := range s.Stamps(file) {
			got = append(got, c.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v", expr, got)
		}
	}
	s := Spec{Output: Output{Mapping: []Mapping{{"x", "cw_line"}, {"y", "cw_object"}}}}
	if got := s.Stamps(nil); len(got) != 2 || got[0].Name != StampObject || got[1].Type != "bigint" {
		t.Errorf("%v", got)
	}
}

func FuzzStamp(f *testing.F) {
	f.Add("s3://b/a,\"b\\|c\td", int64(7), "x,y")
	f.Fuzz(func(t *testing.T, object string, line int64, row string) {
		if line < 0 || strings.ContainsAny(object, "\n\r") {
			return
		}
		for _, format := range []Format{
			{Kind: FormatCSV, Delimiter: ',', Quote: '"', Escape: '"'},
			{Kind: FormatCSV, Delimiter: '|', Quote: '\'', Escape: '\\'},
			{Kind: FormatText, Delimiter: '\t', Escape: '\\'},
			{Kind: FormatText, Delimiter: '|', Escape: '\\'},
		} {
			for _, columns := range [][]Column{{{StampObject, "text"}, {StampLine, "bigint"}}, {{StampObject, "text"}}, {{StampLine, "bigint"}}} {
				s := NewStamp(columns, format)
				out := append(s.Append(nil, s.Object(object), line), row...)
				if got := s.Strip(string(out), object); got != row {
					t.Errorf("%+v: %q stripped to %q", format, out, got)
				}
			}
		}
		s := NewStamp([]Column{{StampObject, "text"}, {StampLine, "bigint"}}, Format{Kind: FormatCSV, Delimiter: ',', Quote: '"', Escape: '"'})
		fields, err := csv.NewReader(bytes.NewReader(s.Append(nil, s.Object(object), line))).Read()
		if err != nil || len(fields) != 3 || fields[0] != object {
			t.Errorf("%q: %q, %v", object, fields, err)
		}
	})
}
