package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/playground/gptest"
	"cw/playground/pgtest"
)

// A load whose transaction is open, on Greenplum for hours, does not keep
// another from being planned and from committing.
func TestJobsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	testNoWaiting(t, pg.Connect(t, "postgres"), pg.Connect(t, "postgres"))
}

func TestJobsDoNotWaitForEachOtherOnGreenplum(t *testing.T) {
	t.Parallel()
	gp := gptest.Start(t, 2)
	testNoWaiting(t, gp.Connect(t, "postgres"), gp.Connect(t, "postgres"))
}

func testNoWaiting(t *testing.T, a, b *pgx.Conn) {
	if err := Ensure(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Exec(t.Context(), "set statement_timeout = 5000"); err != nil {
		t.Fatal(err)
	}
	first, second := &Ledger{Job: "a", Epoch: "1"}, &Ledger{Job: "b", Epoch: "2"}
	if _, err := first.TakeOver(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	open, err := a.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Rollback(t.Context()) }()
	if err := first.OnceIn(t.Context(), open, Truncate, func(tx pgx.Tx) error { return first.Emptied(t.Context(), tx, Target{OID: 1, Name: "one"}) }); err != nil {
		t.Fatal(err)
	}
	if _, err := second.TakeOver(t.Context(), b); err != nil {
		t.Fatalf("taking a new job over: %v", err)
	}
	err = pgx.BeginFunc(t.Context(), b, func(tx pgx.Tx) error {
		target := Target{OID: 2, Name: "two"}
		if err := LockTarget(t.Context(), tx, target); err != nil {
			return err
		}
		if _, err := second.Claims(t.Context(), tx, target, []string{"x"}); err != nil {
			return err
		}
		if err := second.Plan(t.Context(), tx, target, []Object{{URL: "x", ETag: "e", Size: 1}}, []Skipped{{Job: "z", Objects: 1}}); err != nil {
			return err
		}
		return second.Record(t.Context(), tx, Range{Object: "x", End: 1, EOF: true})
	})
	if err != nil {
		t.Errorf("planning and committing: %v", err)
	}
}

// Planning looks up a hundred thousand objects at once.
func TestClaimsOfManyObjects(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	c := pg.Connect(t, "postgres")
	if err := Ensure(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	const n = 100_000
	target := Target{OID: 7, Name: "t"}
	old, fresh := &Ledger{Job: "old", Epoch: "1"}, &Ledger{Job: "new", Epoch: "1"}
	objects, urls := make([]Object, n), make([]string, n)
	for i := range objects {
		urls[i] = fmt.Sprintf("s3://bucket/some/prefix/part-%07d.csv.gz", i)
		objects[i] = Object{URL: urls[i], ETag: fmt.Sprintf("%032x", i), Size: int64(i)}
	}
	if _, err := old.TakeOver(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := pgx.BeginFunc(t.Context(), c, func(tx pgx.Tx) error { return old.Plan(t.Context(), tx, target, objects, nil) }); err != nil {
		t.Fatal(err)
	}
	planned := time.Since(began)
	if _, err := c.Exec(t.Context(), "insert into cw.load_ledger (job, kind, object, range_end, eof) select job, 'split', object, 100, true from cw.load_ledger where kind = 'object'"); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	claims, err := fresh.Claims(t.Context(), c, target, urls)
	if err != nil || len(claims) != n || !claims[0].Loaded() || claims[n-1].Job != "old" {
		t.Fatalf("%d claims, %v", len(claims), err)
	}
	t.Logf("%d objects planned in %s, looked up in %s", n, planned, time.Since(began))
	if d := time.Since(began); d > time.Minute {
		t.Errorf("looking them up took %s", d)
	}
}
