package greenplum_test

import (
	"strings"
	"testing"

	"cw/cluster"
)

func TestCreateAndDelete(t *testing.T) {
	w := newWorld(t, 3, false, "segments_per_host: 2, mirrors: group, data_dirs: [/data/a, /data/b]")
	w.create()
	w.status(cluster.Up)
	if got := w.sql(1, "create table t (a int, b text) distributed by (a); insert into t select g, 'x'||g from generate_series(1,10000) g; select count(*), count(distinct gp_segment_id) from t;"); got != "10000|4" {
		t.Errorf("got %s", got)
	}
	w.do(w.m.Delete(t.Context(), "gp"))
	for i := range w.lab.Hosts {
		if l := w.left(i + 1); l != "" {
			t.Errorf("host %d: left:\n%s", i+1, strings.TrimSpace(l))
		}
	}
}
