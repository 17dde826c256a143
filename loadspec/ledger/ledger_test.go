package ledger

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/playground/gptest"
	"cw/playground/pgtest"
)

func TestEnsureByManyAtOnce(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c, err := pgx.Connect(t.Context(), pg.DSN("postgres"))
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close(t.Context()) }()
			for range 3 {
				if err := Ensure(t.Context(), c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestEnsureWithoutPrivilege(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	pg.Exec(t, "postgres", "create role poor login password 'cw'; revoke create on database postgres from public")
	c := pg.Connect(t, "postgres")
	if _, err := c.Exec(t.Context(), "set role poor"); err != nil {
		t.Fatal(err)
	}
	if err := Ensure(t.Context(), c); fault.KindOf(err) != fault.Auth || fault.HintOf(err) == "" {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
}

func TestTakeOver(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	testTakeOver(t, pg.Connect(t, "postgres"), pg.Connect(t, "postgres"))
}

func TestTakeOverOnGreenplum(t *testing.T) {
	t.Parallel()
	gp := gptest.Start(t, 2)
	testTakeOver(t, gp.Connect(t, "postgres"), gp.Connect(t, "postgres"))
}

// testTakeOver has a second runner take over while the first commits: it waits
// for that, and the first cannot commit any more.
func testTakeOver(t *testing.T, a, b *pgx.Conn) {
	if err := Ensure(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	first, second := &Ledger{Job: "j", Epoch: "1"}, &Ledger{Job: "j", Epoch: "2"}
	if _, err := first.TakeOver(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if err := pgx.BeginFunc(t.Context(), a, func(tx pgx.Tx) error {
		return first.Plan(t.Context(), tx, Target{OID: 1, Name: "t"}, []Object{{URL: "z", ETag: "e", Size: 9}, {URL: "a", Size: 1, Source: 1}}, nil)
	}); err != nil {
		t.Fatal(err)
	}
	tx, err := a.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Record(t.Context(), tx, Range{Object: "z", End: 5, Rows: 2}); err != nil {
		t.Fatal(err)
	}
	type answer struct {
		j   *Journal
		err error
	}
	took := make(chan answer, 1)
	go func() {
		j, err := second.TakeOver(t.Context(), b)
		took <- answer{j, err}
	}()
	select {
	case got := <-took:
		t.Fatalf("taken over while the first runner commits: %+v", got)
	case <-time.After(200 * time.Millisecond): // it waits, as it must
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := <-took
	if got.err != nil || len(got.j.Ranges) != 1 || got.j.Ranges[0].Rows != 2 || len(got.j.Objects) != 2 || got.j.Objects[0].URL != "z" || got.j.Objects[1].Source != 1 {
		t.Fatalf("%+v, %v", got.j, got.err)
	}
	err = pgx.BeginFunc(t.Context(), a, func(tx pgx.Tx) error { return first.Record(t.Context(), tx, Range{Object: "z", Start: 5, End: 7}) })
	if !errors.Is(err, ErrOvertaken) || fault.KindOf(err) != fault.Locked {
		t.Errorf("the first runner could still commit: %v", err)
	}
	err = first.Once(t.Context(), a, After, func(pgx.Tx) error { return errors.New("must not run") })
	if !errors.Is(err, ErrOvertaken) {
		t.Errorf("the first runner could still run a step: %v", err)
	}
	again := func() error {
		return pgx.BeginFunc(t.Context(), b, func(tx pgx.Tx) error { return second.Record(t.Context(), tx, Range{Object: "z", End: 5}) })
	}
	if err := again(); !IsDuplicate(err) {
		t.Errorf("the same split twice: %v", err)
	}
}
