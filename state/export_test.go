package state

import "context"

// ImportEvents appends events that happened earlier, At as they say, in one
// transaction.
func (s *Store) ImportEvents(ctx context.Context, events []Event) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return s.failed(err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, e := range events {
		if err := s.addEventTx(ctx, tx, e, e.At); err != nil {
			return err
		}
	}
	return s.failed(tx.Commit())
}

// Gone tells whether a process of this machine counts as gone.
func Gone(pid int) bool {
	o := thisProcess()
	o.pid = pid
	_, o.born = processStat(pid)
	return o.gone(o.machine)
}
