package run

import (
	"strings"
	"testing"

	"cw/perfcheck"
	"cw/perfcheck/db"
	"cw/playground/mytest"
	"cw/playground/pgtest"
)

func TestDatabaseFromTwoHosts(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]string{"postgres": pgtest.Start(t).DSN("postgres"), "mariadb": mytest.Start(t).DSN("warehouse")} {
		o := Options{
			ID: "pdb", Areas: []perfcheck.Area{perfcheck.DB}, Profile: short(), Only: []string{"db.connect", "db.read.c1", "db.read.c4", "db.read.c4.alone", "db.read.knee"}, Seed: 1,
			Reporter: &quietReporter{t: t}, Machines: []Machine{{Name: "a"}, {Name: "b"}}, Database: &db.Target{DSN: dsn},
		}
		report, err := Run(t.Context(), o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(report.Tests) != 10 {
			t.Errorf("%s: %d results", name, len(report.Tests))
		}
		for i := range report.Tests {
			got := &report.Tests[i]
			if got.Verdict == perfcheck.Error || strings.Contains(got.Reason, "cw:cw") {
				t.Errorf("%s: %s %s: %s %s", name, got.ID, got.Host, got.Verdict, got.Reason)
			}
			if got.ID == "db.read.c4" && got.Params["read"] != "made up" {
				t.Errorf("%s: what was read is not said: %v", name, got.Params)
			}
		}
	}
}

func TestDatabaseMustBeSaid(t *testing.T) {
	t.Parallel()
	o := Options{Areas: []perfcheck.Area{perfcheck.DB}, Profile: short(), Machines: []Machine{{Name: "a"}}, Reporter: &quietReporter{t: t}}
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "database") {
		t.Errorf("%v", err)
	}
}
