package perfcheck

import (
	"encoding/json"
	"testing"
)

// A report of somebody else is refused, or can be written again and compared.
func FuzzParseReport(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"cw/v1","kind":"PerfReport","tests":[{"id":"a","verdict":"pass","metrics":{"x":{"value":1,"unit":"s","reps":[1]}}}]}`))
	f.Add([]byte(`{"apiVersion":"cw/v1","kind":"PerfReport","tests":[{"id":"a","pair":{"from":"a","to":"b"},"histograms":{"h":{}}}]}`))
	f.Add([]byte(`{"apiVersion":"cw/v1","kind":"PerfReport","tests":[{"id":"a","histograms":{"h":null},"series":[{"values":[1e308]}]}],"hosts":[{"inventory":{"cpu":3}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseReport(data)
		if err != nil {
			return
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%q is not written again: %v", data, err)
		}
		_ = Compare(r, r)
	})
}
