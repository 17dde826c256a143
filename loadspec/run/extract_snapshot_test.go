package run

import (
	"testing"

	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/playground/pgtest"
)

// TestSnapshotGone: a worker that comes too late for the snapshot is no reason
// to give up.
func TestSnapshotGone(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	keeper, worker := pg.Connect(t, "postgres"), pg.Connect(t, "postgres")
	snap, err := copy.TakeSnapshot(t.Context(), keeper, loadspec.Output{Table: "nothing"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := snap.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tx, err := copy.ImportSnapshot(t.Context(), worker, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := snap.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	late := pg.Connect(t, "postgres")
	if _, err := copy.ImportSnapshot(t.Context(), late, id); !copy.Retriable(t.Context(), err) {
		t.Errorf("%v is not tried again", err)
	}
}
