package run

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestLedger: what was made and is not gone, in its order, also when the last
// line was cut off; nothing of a run that lives.
func TestLedger(t *testing.T) {
	t.Parallel()
	runs := t.TempDir()
	dir := filepath.Join(runs, "p1")
	l, err := OpenLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := l.For("db1", "btrfs")
	for _, id := range []string{"a", "b", "c"} {
		if err := h.Made("snapshot", id); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Gone("snapshot", "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLedger(dir); err == nil {
		t.Error("two runs have one ledger")
	}
	if left, err := MadeByOthers(runs); err != nil || len(left) != 0 {
		t.Errorf("it lives: %v %v", left, err)
	}
	if _, err := l.f.WriteString(`{"host":"db1","driver":"btrfs","kind":"sna`); err != nil {
		t.Fatal(err)
	}
	_ = l.f.Close() // as when it is killed
	left, err := MadeByOthers(runs)
	want := []Made{{"p1", "db1", "btrfs", "snapshot", "a", false}, {"p1", "db1", "btrfs", "snapshot", "c", false}}
	if err != nil || !slices.Equal(left, want) {
		t.Errorf("%+v %v", left, err)
	}
}

// TestLedgerAfterTheCut: what is written behind a line that was cut off is not
// lost.
func TestLedgerAfterTheCut(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "p1")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := `{"host":"db1","driver":"btrfs","kind":"snapshot","id":"a"}` + "\n" + `{"host":"db1","dri`
	if err := os.WriteFile(filepath.Join(dir, madeFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.For("db1", "btrfs").Gone("snapshot", "a"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, madeFile)); !os.IsNotExist(err) {
		t.Error("nothing is left, and the ledger is still there:", err)
	}
}

func FuzzOpenMade(f *testing.F) {
	f.Add([]byte(`{"host":"db1","driver":"btrfs","kind":"snapshot","id":"a"}` + "\n"))
	f.Add([]byte("{\n}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), madeFile)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		left, err := openMade(path)
		for _, m := range left {
			if err == nil && m.Gone {
				t.Errorf("%+v is gone", m)
			}
		}
	})
}
