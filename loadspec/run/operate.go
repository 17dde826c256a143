package run

import (
	"context"

	"cw/fault"
	"cw/loadspec"
	"cw/state"
)

// SetLimit asks a job to go at limit bytes per second, 0 is no limit, and
// returns the job as it was before. One that does not run keeps the limit for
// when it is resumed.
func SetLimit(ctx context.Context, st *state.Store, id string, limit int64) (state.Job, error) {
	j, err := st.Job(ctx, id)
	if err != nil {
		return j, err
	}
	return j, st.SetJobLimit(ctx, id, limit)
}

// Pause asks a running job to read nothing for a while.
func Pause(ctx context.Context, st *state.Store, id string) error {
	return want(ctx, st, id, state.WantPause)
}

// Continue lets a paused job go on.
func Continue(ctx context.Context, st *state.Store, id string) error {
	return want(ctx, st, id, state.WantRun)
}

func want(ctx context.Context, st *state.Store, id, what string) error {
	j, err := st.Job(ctx, id)
	if err != nil {
		return err
	}
	if !j.Active() {
		return fault.New(fault.Usage, "see the jobs with: cw load list", "job %s is not running: it is %s", id, j.State)
	}
	return st.SetJobWant(ctx, id, what)
}

// Cancel asks a job to end, and returns it as it is then: one that nobody
// runs is cancelled at once, of another the end has to be waited for.
func Cancel(ctx context.Context, st *state.Store, id string) (state.Job, error) {
	j, err := st.Job(ctx, id)
	switch {
	case err != nil:
		return j, err
	case j.State == state.Done || j.State == state.Cancelled:
		return j, fault.New(fault.Usage, "", "job %s is %s", id, j.State)
	case j.Active():
		return j, st.SetJobWant(ctx, id, state.WantCancel)
	}
	// Nobody is there to ask.
	if err = st.FinishJob(ctx, id, state.Cancelled, j.Error, j.Timing); err != nil {
		return j, err
	}
	j.State = state.Cancelled
	return j, st.AddEvent(ctx, state.Event{
		Kind: eventNames[j.Kind].ended[state.Cancelled], Job: id, Message: j.Kind + " " + id + ": cancelled while nobody worked on it",
		Data: map[string]any{"state": state.Cancelled, "by": st.Who()},
	})
}

// StoredSpec reads a job's control file from the store; its password and what
// is secret in URLs, which are not kept there, come from the file if that is still there.
func StoredSpec(j state.Job) (*loadspec.Spec, error) {
	spec, err := loadspec.Parse(j.SpecFile, []byte(j.Spec))
	if err != nil {
		return nil, err
	}
	if j.SpecFile != "-" {
		if again, err := loadspec.Load(j.SpecFile); err == nil {
			spec.Conn.Password = again.Conn.Password
			spec.Unredact(again)
		}
	}
	spec.Limit = j.WantLimit
	return spec, nil
}

// StoredUnload is StoredSpec for an unload.
func StoredUnload(j state.Job) (*loadspec.Unload, error) {
	u, err := loadspec.ParseUnload(j.SpecFile, []byte(j.Spec))
	if err != nil {
		return nil, err
	}
	if j.SpecFile != "-" {
		if again, err := loadspec.LoadUnload(j.SpecFile); err == nil {
			u.Conn.Password = again.Conn.Password
		}
	}
	u.Limit = j.WantLimit
	return u, nil
}
