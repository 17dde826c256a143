package report

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // gpbackup's history is such a file; the store's is another
)

// mostHistory is how large gpbackup's history may be to be fetched.
const mostHistory = 64 << 20

// gpbackupDatabase reads the history of newer versions of gpbackup, an SQLite
// file, from a copy.
func (b *builder) gpbackupDatabase(ctx context.Context) error {
	type file struct{ Data string }
	got, err := ask[file](ctx, b.ask, "", fmt.Sprintf("select encode(pg_read_binary_file('gpbackup_history.db', 0, %d), 'base64') as data where (select size from pg_stat_file('gpbackup_history.db')) <= %[1]d", mostHistory))
	if err != nil {
		return fmt.Errorf("gpbackup's history cannot be read: %w", err)
	}
	if len(got) == 0 {
		return fmt.Errorf("gpbackup's history is larger than %d MB: gpbackup_manager list-backups", mostHistory>>20)
	}
	data, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(got[0].Data, "\n", ""))
	if err != nil {
		return fmt.Errorf("gpbackup's history: %w", err)
	}
	newest, err := newestInDatabase(ctx, data)
	if err != nil {
		return fmt.Errorf("gpbackup's history: %w", err)
	}
	return b.gpbackupKnown(ctx, newest)
}

// newestInDatabase is newestGpbackup for the SQLite file.
func newestInDatabase(ctx context.Context, data []byte) (newest string, err error) {
	dir, err := os.MkdirTemp("", "cw-report")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	name := filepath.Join(dir, "history.db")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		return "", err
	}
	db, err := sql.Open("sqlite", "file:"+name+"?mode=ro&immutable=1")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, "select timestamp from backups where coalesce(status, '') in ('', 'Success') and coalesce(date_deleted, '') = '' and coalesce(metadata_only, 0) = 0")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var stamp string
		if err := rows.Scan(&stamp); err != nil {
			return "", err
		}
		if isStamp(stamp) {
			newest = max(newest, stamp)
		}
	}
	return newest, rows.Err()
}
