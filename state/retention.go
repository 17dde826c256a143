package state

import (
	"context"
	"fmt"
	"time"
)

// Retention is how long the store keeps what is over; 0 is for ever. What is
// still going on, as a firing alert, is never dropped.
type Retention struct {
	Events  time.Duration
	Alerts  time.Duration // resolved ones, and what was told of them
	Samples time.Duration
	Jobs    time.Duration // finished ones
	Audit   time.Duration
}

// pruneBatch is how many rows are deleted at a time: others use the store
// meanwhile.
const pruneBatch = 2000

// Prune drops what is older than its retention and says how many rows that
// were.
func (s *Store) Prune(ctx context.Context, r Retention) (int64, error) {
	now, err := s.now(ctx)
	if err != nil {
		return 0, err
	}
	row := "rowid"
	if s.shared {
		row = "ctid"
	}
	var total int64
	for _, p := range []struct {
		table, where string
		keep         time.Duration
	}{
		{"events", "at<?", r.Events},
		{"alerts", "resolved_at<>0 and resolved_at<?", r.Alerts},
		// What was told of an alert that still fires is what keeps it from being
		// told again.
		{"deliveries", "at<? and not exists (select 1 from alerts where resolved_at=0 and substr(deliveries.notice, 1, length(alerts.id)+1)=alerts.id||'/')", r.Alerts},
		{"silences", "until<?", r.Alerts},
		{"samples", "at<?", r.Samples},
		{"jobs", "finished_at<>0 and finished_at<?", r.Jobs},
		{"audit", "at<?", r.Audit},
		{"members", "expires<?", r.Events},
	} {
		for p.keep > 0 {
			in := "in"
			limit := "select " + row + " from " + p.table + " where " + p.where + " limit ?"
			if s.shared {
				in, limit = "= any", "array("+limit+")"
			}
			n, err := s.exec(ctx, "delete from "+p.table+" where "+row+" "+in+" ("+limit+")", micros(now.Add(-p.keep)), pruneBatch)
			total += n
			if err != nil {
				return total, err
			}
			if n < pruneBatch {
				break
			}
		}
	}
	if s.shared || total == 0 {
		return total, nil
	}
	return total, s.shrink(ctx)
}

// shrink gives free pages of the file back to the file system, some at a time.
// Of a store that an older cw made they are kept for later rows.
func (s *Store) shrink(ctx context.Context) error {
	for before := int64(-1); ; {
		var free int64
		if err := s.queryRow(ctx, "pragma freelist_count").Scan(&free); err != nil {
			return s.failed(err)
		}
		if free == 0 || free == before {
			break
		}
		before = free
		page := func(func(...any) error) (struct{}, error) { return struct{}{}, nil }
		if _, err := collect(ctx, s, page, fmt.Sprintf("pragma incremental_vacuum(%d)", pruneBatch)); err != nil {
			return err
		}
	}
	_, err := s.exec(ctx, "pragma wal_checkpoint(truncate)")
	return err
}
