package commands

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/ledger"
	"cw/loadspec/run"
	"cw/schema"
)

// shownRefused is how many rows that would be refused are kept to be listed;
// all are counted.
const shownRefused = 10_000

func (a *App) loadValidate(ctx context.Context, spec *loadspec.Spec, validate, sample string) error {
	most := int64(0)
	switch {
	case validate != "" && validate != "all":
		return usagef("--validate all, or --sample 64MB for the first rows of every object", "--validate %s: all is what it can be", validate)
	case sample != "":
		var err error
		if most, err = schema.ParseSize(sample); err != nil || most == 0 {
			return usagef("--sample 64MB", "--sample: %q is not a size", sample)
		}
	}
	show := a.newProgress()
	var refused []ledger.Rejected
	res, err := run.Validate(ctx, run.Options{Spec: spec, Job: "check", Log: a.Log, Reporter: &loadProgress{show: show, job: "check"}, Warn: func(text string) { a.warnf("%s", text) }}, most,
		func(r ledger.Rejected) {
			if len(refused) < shownRefused {
				refused = append(refused, r)
			}
		})
	show.Close()
	if err != nil {
		return err
	}
	slices.SortFunc(refused, func(x, y ledger.Rejected) int {
		return cmp.Or(cmp.Compare(x.Object, y.Object), cmp.Compare(x.Line, y.Line))
	})
	t, docs := table{cols: cols("OBJECT", "LINE", "REASON", "ROW", "+COLUMN", "+OFFSET")}, []rejectedDoc{}
	for _, r := range refused {
		t.add(redact(r.Object), fmt.Sprint(r.Line), r.Reason, r.Row, r.Column(), fmt.Sprint(r.Offset))
		docs = append(docs, rejectedDoc{redact(r.Object), r.Line, r.Offset, r.Column(), r.Reason, r.Row, false})
	}
	a.infof("tried %d rows of %s (%s): %d would be refused; nothing was loaded", res.Rows, objectCount(res.Objects), schema.FormatSize(res.Bytes), res.Refused)
	if more := res.Refused - int64(len(refused)); more > 0 {
		a.warnf("%d more are not listed", more)
	}
	if err := a.print(list("RejectedRowList", docs), t); err != nil || res.Refused == 0 {
		return err
	}
	return fault.New(fault.Check, "correct the rows, or tolerate them: ERROR_LIMIT in the control file", "%d rows would be refused", res.Refused)
}
