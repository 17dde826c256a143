package greenplum_test

import (
	"fmt"
	"strings"
	"testing"

	"cw/cluster"
	"cw/playground/lab"
)

// TestInterconnect keeps three addresses of a host apart: SSH goes to one, on
// a port that is not 22, and segments are reached at two others in turns.
func TestInterconnect(t *testing.T) {
	w := newWorldWith(t, 3, false, "segments_per_host: 2, mirrors: group, data_dirs: [/data/a]", lab.Config{SSHD: []string{"Port=2222"}, Port: 2222})
	w.top.SSH.Port = 2222
	w.top.Network.Allow = nil
	for i := range w.top.Hosts {
		h := &w.top.Hosts[i]
		for net := 1; net <= 2; net++ {
			addr := fmt.Sprintf("10.7%d.0.%d", 7+net, i+1)
			w.lab.Run(i+1, "ip", "addr", "add", addr+"/24", "dev", "eth0")
			h.Interconnect = append(h.Interconnect, addr)
		}
	}
	w.create()
	w.status(cluster.Up)
	if got := w.sql(1, "create table t (a int) distributed by (a); insert into t select generate_series(1,1000); select count(*) from t;"); got != "1000" {
		t.Errorf("count %s", got)
	}
	rows := w.sql(1, "select hostname, address from gp_segment_configuration where content >= 0 order by dbid;")
	seen := map[string]bool{}
	for _, line := range strings.Split(rows, "\n") {
		host, address, _ := strings.Cut(line, "|")
		h, ok := w.top.Host(host)
		if !ok || address != h.Interconnect[0] && address != h.Interconnect[1] {
			t.Errorf("%s is reached at %s", host, address)
		}
		seen[address] = true
	}
	if len(seen) != 4 {
		t.Errorf("addresses in use: %v", seen)
	}
	for _, i := range []int{2, 3} {
		out := w.lab.Run(i, "sh", "-c", "cat /data/a/gp/n*/gpseg*/recovery.conf; ss -Htn state established")
		if strings.Contains(out, "host=''"+w.lab.Hosts[i-1].Addr) {
			t.Errorf("replication goes over the management address: %s", out)
		}
	}
	w.lab.Run(2, "sh", "-c", "kill -9 $(head -n 1 /data/a/gp/n2/gpseg0/postmaster.pid)")
	w.sql(1, "select gp_request_fts_probe_scan();")
	w.do(w.m.Recover(t.Context(), "gp", cluster.RecoverOptions{Rebalance: true}))
	w.status(cluster.Up)
}
