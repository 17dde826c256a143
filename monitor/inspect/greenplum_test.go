package inspect

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/playground/gptest"
)

// The questions for Greenplum are understood by a real one, and find a
// skewed table, one without statistics and primaries without mirrors.
func TestGreenplum(t *testing.T) {
	t.Parallel()
	gp := gptest.Start(t, 2, "gp_vmem_protect_limit=240")
	gp.Exec(t, "postgres", "create database shop")
	gp.Exec(t, "shop", "set gp_autostats_mode = none; create table skewed (k int, t text) distributed by (k); insert into skewed select 1, repeat('x', 1000) from generate_series(1, 12000) i; create table even (k int, t text) distributed by (k); insert into even select i, repeat('x', 1000) from generate_series(1, 12000) i; analyze even")
	gp.Exec(t, "shop", "create role loader login; create unlogged table gone (i int) distributed by (i)")
	gp.Exec(t, "shop", "create table parts (i int) distributed by (i) partition by range (i) (start (1) end (4) every (1))")
	gp.Exec(t, "shop", "create function risky() returns int language sql security definer as 'select 1'")
	gp.Exec(t, "shop", "set allow_system_table_mods = on; create schema pg_temp_77777")
	hba := filepath.Join(gp.Dir, "m", "pg_hba.conf")
	text, err := os.ReadFile(hba)
	if err != nil {
		t.Fatal(err)
	}
	write(t, hba, string(text)+"host all all 10.9.0.0/16   trust # all of them\nhost all gpadmin 10.9.1.1/32 trust\n")
	ctx := t.Context()
	holder, waiter := gp.Connect(t, "shop"), gp.Connect(t, "shop")
	if _, err := holder.Exec(ctx, "begin; lock table even in exclusive mode"); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _, _ = waiter.Exec(ctx, "delete from even") }()
	defer func() { _ = holder.Close(context.WithoutCancel(ctx)); <-done }()
	deadline := time.Now().Add(30 * time.Second)
	for waits := false; !waits; {
		if err := gp.Connect(t, "postgres").QueryRow(ctx, "select exists (select 1 from pg_stat_activity where waiting)").Scan(&waits); err != nil || time.Now().After(deadline) {
			t.Fatal("nobody waits: ", err)
		}
	}
	all, zero, two := rules(t), 0.0, 2.0
	for i := range all {
		if all[i].Unit == Seconds {
			all[i].Warn = &zero
		}
		if all[i].Name == "table.many_partitions" {
			all[i].Warn = &two
		}
	}
	p := &Postgres{Connect: func(ctx context.Context, db string) (*pgx.Conn, error) {
		return gp.Connect(t, cmpOr(db, "postgres")), nil
	}}
	r, err := Run(t.Context(), p, "greenplum", all)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, f := range r.Findings {
		found[f.Rule+" "+f.Object] = true
		if f.Rule == "table.skew" && (f.Object != "public.skewed" || f.Value == nil || *f.Value < 1.9 || *f.Value > 2.1) {
			t.Errorf("skew %+v", f)
		}
	}
	for _, want := range []string{
		"setting.dangerous_greenplum fsync", "segment.no_standby coordinator", "resource.default_queue pg_default", "resource.memory statement_mem", "access.trust_greenplum pg_hba.conf",
		"catalogue.temp_schemas pg_temp_77777", "table.many_partitions parts", "function.security_definer risky()", "table.unlogged gone",
	} {
		if !found[want] {
			t.Errorf("%s was not found", want)
		}
	}
	count := map[string]int{}
	for _, f := range r.Findings {
		count[f.Rule]++
		if strings.Contains(f.Text, "10.9.1.1") {
			t.Errorf("one host of the cluster's own is named: %+v", f)
		}
	}
	for _, rule := range []string{"session.idle_in_transaction", "session.waiting_greenplum", "age.transaction_greenplum"} {
		if count[rule] == 0 {
			t.Errorf("%s found nobody", rule)
		}
	}
	for _, want := range []string{"table.skew public.skewed", "table.no_statistics_greenplum public.skewed", "segment.no_mirrors content 0", "segment.no_mirrors content 1"} {
		if !found[want] {
			t.Errorf("%s was not found: %+v", want, r.Findings)
		}
	}
	for _, o := range r.Omitted {
		t.Errorf("omitted %+v", o)
	}
}
