package greenplum_test

import (
	"strings"
	"testing"
)

// The harness makes what the stock tools call a healthy cluster: the measure
// that other tests compare with.
func TestStockInit(t *testing.T) {
	w := newWorld(t, 4, true, "segments_per_host: 2, mirrors: group")
	w.gpinitsystem(2, true, true)
	if out := w.mustStock(stockMaster, "gpstate -e"); !strings.Contains(out, "No segment pair") && !strings.Contains(out, "running normally") {
		t.Error(out)
	}
}
