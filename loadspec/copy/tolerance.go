package copy

import (
	"fmt"
	"strconv"
	"sync"

	"cw/fault"
	"cw/loadspec/format"
	"cw/loadspec/ledger"
	"cw/loadspec/split"
)

// Tolerance is how many rows of a job may be refused, by the database or
// already where objects are converted. Its sessions share it.
type Tolerance struct {
	Limit     int64   // rows; 0 where Percent counts
	Percent   float64 // of the rows seen, once these are enough to tell
	Converted bool    // rows may have some among them that could not be converted

	mu   sync.Mutex
	used int64
	seen int64
}

// NewTolerance begins with the rows that were refused in earlier runs, and
// those that were seen.
func NewTolerance(limit int64, percent float64, used, seen int64) *Tolerance {
	return &Tolerance{Limit: limit, Percent: percent, used: used, seen: seen}
}

// enoughRows is how many rows tell a percentage.
const enoughRows = 1000

// saw counts rows that a transaction is to commit.
func (t *Tolerance) saw(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen += n
}

// take reserves a row, or says that there are none left; err is about it.
func (t *Tolerance) take(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used++
	return t.check(t.Percent == 0 || t.seen >= enoughRows, err)
}

func (t *Tolerance) check(enough bool, err error) error {
	if !enough || t.Percent == 0 && t.used <= t.Limit || t.Percent > 0 && float64(t.used)*100 <= t.Percent*float64(t.seen) {
		return nil
	}
	return &LimitError{Limit: t.Limit, Percent: t.Percent, Err: err}
}

// Count takes what a statement of Greenplum's is to commit: its rows, and those
// that could not be converted. It says whether that is tolerated.
func (t *Tolerance) Count(seen int64, refused []ledger.Rejected) error {
	t.saw(seen + int64(len(refused)))
	for i, r := range refused {
		if err := t.take(fmt.Errorf("%s %s", r.Object, r.Reason)); err != nil {
			t.GiveBack(seen+int64(len(refused)), int64(i+1))
			return err
		}
	}
	return nil
}

// GiveBack forgets what a transaction had counted and did not commit.
func (t *Tolerance) GiveBack(seen, used int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen -= seen
	t.used -= used
}

// End looks at a percentage when all rows are there, however few they were.
func (t *Tolerance) End() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.check(true, fmt.Errorf("%d of %d rows were refused", t.used, t.seen))
}

// marked tells whether a piece has rows that could not be converted.
func (t *Tolerance) marked(p *split.Piece) bool {
	return t != nil && t.Converted && format.Marked(p.Data)
}

// LimitError is more refused rows than ERROR_LIMIT allows.
type LimitError struct {
	Limit   int64
	Percent float64
	Err     error // about the row that was one too many
}

func (e *LimitError) Error() string {
	limit := strconv.FormatInt(e.Limit, 10)
	if e.Percent > 0 {
		limit = strconv.FormatFloat(e.Percent, 'f', -1, 64) + "%"
	}
	return fmt.Sprintf("more rows were refused than ERROR_LIMIT %s allows; one of them: %v", limit, e.Err)
}

// Unwrap gives the reason of that row.
func (e *LimitError) Unwrap() error { return e.Err }

// FaultKind is an ordinary failure.
func (e *LimitError) FaultKind() fault.Kind { return fault.Failed }

// FaultHint says what can be done.
func (e *LimitError) FaultHint() string {
	return "correct the data, or raise ERROR_LIMIT in the control file, and resume the job: what is committed stays"
}
