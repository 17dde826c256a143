package run

import (
	"fmt"
	"strings"
	"time"

	"cw/state"
)

// How a job is run beyond its control file is kept with it as words, so that
// a detached or resumed run does the same.
const (
	wordAgain = "again"
	wordWatch = "watch="
)

// StoreOptions is o in the words that a job is kept with.
func StoreOptions(o Options) string {
	var words []string
	if o.Again {
		words = append(words, wordAgain)
	}
	if o.Watch > 0 {
		words = append(words, wordWatch+o.Watch.String())
	}
	return strings.Join(words, " ")
}

// StoredOptions sets in o what a job is kept with.
func StoredOptions(j state.Job, o *Options) error {
	for _, w := range strings.Fields(j.Options) {
		interval, watch := strings.CutPrefix(w, wordWatch)
		switch {
		case w == wordAgain:
			o.Again = true
		case watch:
			d, err := time.ParseDuration(interval)
			if err != nil {
				return fmt.Errorf("job %s: option %s: %w", j.ID, w, err)
			}
			o.Watch = d
		default:
			return fmt.Errorf("job %s: option %s is not known to this cw", j.ID, w)
		}
	}
	return nil
}
