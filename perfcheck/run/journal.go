package run

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"cw/perfcheck"
)

// The files of a run's folder: ReportFile is its document, once it is over.
const (
	journalFile = "tests.jsonl"
	ReportFile  = "report.json"
)

// Journal keeps the results of a run test by test, so that one that was cut
// off goes on. A nil Journal keeps nothing.
type Journal struct {
	dir  string
	done map[string][]perfcheck.Test
}

type journalLine struct {
	ID    string           `json:"id"`
	Tests []perfcheck.Test `json:"tests"`
}

// OpenJournal opens a run's folder, which is made when it is not there, and
// reads what is done already. A last line that was cut off is left out.
func OpenJournal(dir string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep the run: %w", err)
	}
	j := &Journal{dir: dir, done: map[string][]perfcheck.Test{}}
	f, err := os.Open(filepath.Join(dir, journalFile))
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the run: %w", err)
	}
	defer func() { _ = f.Close() }()
	in := bufio.NewReader(f)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return j, nil //nolint:nilerr // the end, or a line that was never finished
		}
		var l journalLine
		if err := json.Unmarshal(line, &l); err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name(), err)
		}
		j.done[l.ID] = l.Tests
	}
}

// Done are the results so far, by test id. Those that went wrong are not
// among them: they are measured again.
func (j *Journal) Done() map[string][]perfcheck.Test {
	if j == nil {
		return nil
	}
	done := map[string][]perfcheck.Test{}
	for id, tests := range j.done {
		ok := true
		for _, t := range tests {
			ok = ok && t.Verdict != perfcheck.Error
		}
		if ok {
			done[id] = tests
		}
	}
	return done
}

// Add writes the results of one test, durably.
func (j *Journal) Add(id string, tests []perfcheck.Test) error {
	if j == nil {
		return nil
	}
	data, err := json.Marshal(journalLine{id, tests})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(j.dir, journalFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("keep the run: %w", err)
	}
	if err = j.append(f, append(data, '\n')); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// append writes a line after the last whole one.
func (j *Journal) append(f *os.File, line []byte) error {
	have, err := os.ReadFile(f.Name())
	if err != nil {
		return err
	}
	end := len(have)
	for end > 0 && have[end-1] != '\n' {
		end--
	}
	if err := f.Truncate(int64(end)); err != nil {
		return err
	}
	_, err = f.WriteAt(line, int64(end))
	return err
}

// WriteReport writes the run's document into its folder, whole or not at all.
func WriteReport(dir string, r *perfcheck.Report) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, ReportFile+".new")
	if err := os.WriteFile(tmp, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, ReportFile))
}
