package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Peek opens the SQLite store at path for reading only, and only when it is
// there: it makes no file and no folder, upgrades nothing and waits for
// nobody. It is for those whom nobody has asked to do anything, as completion
// in a shell. A store of another version answers with errors.
func Peek(ctx context.Context, path string) (*Store, error) {
	if strings.Contains(path, "://") {
		return nil, fmt.Errorf("%s is no file", path)
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() == 0 {
		return nil, fmt.Errorf("store %s: %w", path, fs.ErrNotExist)
	}
	// SQLite makes the files beside the store anew to read it, and has no right
	// to remove them. Where nobody has it open there is nothing in them, and it
	// can be told so; who begins to write at this very moment spoils the
	// answer, not the store.
	mode := "?mode=ro"
	if _, err := os.Stat(path + "-wal"); err != nil {
		mode += "&immutable=1"
	}
	s := &Store{where: path, self: thisProcess()}
	if s.db, err = sql.Open("sqlite", "file:"+escapePath(path)+mode+"&_pragma=query_only(1)&_pragma=busy_timeout(50)"); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.db.SetMaxOpenConns(1)
	if err := s.db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

// escapePath makes a path fit for the URI that SQLite is given.
func escapePath(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
}
