package loadspec

import (
	"fmt"
	"strings"
	"testing"
)

func TestFixed(t *testing.T) {
	t.Parallel()
	const text = "VERSION: 1.0.0.1\nGPLOAD:\n  INPUT:\n    - SOURCE: {FILE: [x]}\n%s  OUTPUT:\n    - TABLE: t\n"
	for _, c := range []struct{ input, columns, fails string }{
		{"    - FORMAT: fixed\n    - FIXED: {Id: 8, _gap: 1, \"\\\"Name\\\"\": 20}\n", "[{id } {Name }]", ""},
		{"    - FORMAT: fixed\n    - FIXED: {id: 8}\n    - COLUMNS: [{id: int}]\n    - NULL_AS: '  '\n    - NEWLINE: NONE\n    - HEADER: true\n    - FILL_MISSING_FIELDS: true\n", "[{id int}]", ""},
		{"    - FORMAT: fixed\n", "", "x:5:15: INPUT.FORMAT: fixed wants FIXED"},
		{"    - FORMAT: fixed\n    - FIXED: {id: 0, b: x}\n", "", `column b: "x" is no width`},
		{"    - FORMAT: fixed\n    - FIXED: {id: 1, ID: 2}\n", "", "column id is given twice"},
		{"    - FORMAT: fixed\n    - FIXED: {id: 1}\n    - COLUMNS: [{name: text}]\n", "", "column name has no width"},
		{"    - FORMAT: fixed\n    - FIXED: {id: 1, b: 2}\n    - COLUMNS: [{id: text}]\n", "", "column b is not in COLUMNS"},
		{"    - FORMAT: fixed\n    - FIXED: {id: 1}\n    - NEWLINE: CR\n", "", "INPUT.NEWLINE: CR"},
		{"    - FORMAT: fixed\n    - FIXED: {id: 1}\n    - DELIMITER: ';'\n", "", "INPUT.DELIMITER"},
		{"    - FORMAT: csv\n    - FIXED: {id: 1}\n", "", "INPUT.FIXED: goes with FORMAT: fixed only"},
		{"    - FORMAT: csv\n    - NEWLINE: NONE\n", "", "INPUT.NEWLINE: NONE goes with FORMAT: fixed only"},
		{"    - FORMAT: json\n    - FILL_MISSING_FIELDS: true\n", "", "INPUT.FILL_MISSING_FIELDS"},
	} {
		s, err := Parse("x", []byte(fmt.Sprintf(text, c.input)))
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: %v", c.input, err)
			}
			continue
		}
		if err != nil || fmt.Sprint(s.Columns) != c.columns {
			t.Errorf("%s: %v, %v", c.input, s, err)
			continue
		}
		if _, err := s.OnPostgres(); err != nil {
			t.Error(err)
		}
		if _, err := s.OnGreenplum(); err != nil {
			t.Error(err)
		}
	}
}

func TestErrorLimit(t *testing.T) {
	t.Parallel()
	const text = "VERSION: 1.0.0.1\nGPLOAD:\n  INPUT:\n    - SOURCE: {FILE: [x]}\n    - ERROR_LIMIT: %s\n  OUTPUT:\n    - TABLE: t\n"
	for limit, want := range map[string]string{
		"100": "100 0", "5%": "0 5", "'0.25 %'": "0 0.25", "0": "0 0",
		"1": "must be 2 or more", "-3": "must be 2 or more", "0%": "wants a number or a percentage", "101%": "wants a number", "NaN%": "wants a number", "many": "x:5:20: GPLOAD.INPUT.ERROR_LIMIT wants a number", "1e99": "wants a number",
	} {
		s, err := Parse("x", []byte(fmt.Sprintf(text, limit)))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(s.ErrorLimit, s.ErrorPercent)
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, not %s", limit, got, want)
		}
	}
}
