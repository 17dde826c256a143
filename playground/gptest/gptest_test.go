package gptest_test

import (
	"os"
	"os/signal"
	"strings"
	"testing"

	"cw/playground/gptest"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	c := gptest.Start(t, 2)
	c.Exec(t, "postgres", "create table t as select generate_series(1, 1000) i distributed by (i)")
	conn := c.Connect(t, "postgres")
	var n, segments int
	if err := conn.QueryRow(t.Context(), "select count(*), count(distinct gp_segment_id) from t").Scan(&n, &segments); err != nil || n != 1000 || segments != 2 {
		t.Fatalf("%d rows on %d segments, %v", n, segments, err)
	}
	c.StopSegment(t, 1)
	c.StartSegment(t, 1)
	out, err := c.Command(t.Context(), "psql", "-XAtc", "select count(*) from t").Output()
	if err != nil || strings.TrimSpace(string(out)) != "1000" {
		t.Fatalf("%s %v", out, err)
	}
}

// TestKeep starts a cluster to play with until it is interrupted.
func TestKeep(t *testing.T) {
	if os.Getenv("CW_TEST_KEEP") == "" {
		t.Skip("CW_TEST_KEEP=1 keeps a cluster until Ctrl-C")
	}
	c := gptest.Start(t, 2)
	if err := os.WriteFile(os.Getenv("CW_TEST_KEEP"), []byte(c.DSN("postgres")+"\n"+c.Dir+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	<-stop
}
