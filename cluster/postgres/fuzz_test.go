package postgres

import (
	"encoding/json"
	"testing"
)

// What a host answers about a server is taken for what it is, and a position
// in the WAL is the same when it is written and read again.
func FuzzAnswers(f *testing.F) {
	f.Add("proc ready\nsignal\ncontrol Latest checkpoint location: 0/3000028\nprimary_conninfo host=a\n")
	f.Add("control Latest checkpoint's TimeLineID: 99999999999999999999\nproc\n\xff")
	f.Add("FFFFFFFF/FFFFFFFF")
	f.Add("0/x")
	f.Fuzz(func(t *testing.T, text string) {
		var v view
		v.parse(text)
		l, err := parseLSN(text)
		if err != nil {
			return
		}
		var again lsn
		data, err := json.Marshal(l.String())
		if err == nil {
			err = json.Unmarshal(data, &again)
		}
		if err != nil || again != l {
			t.Errorf("%q: %s, again %s, %v", text, l, again, err)
		}
	})
}
