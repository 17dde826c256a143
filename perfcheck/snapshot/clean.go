package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// thing is something that was made.
type thing struct{ kind, id string }

// keep remembers something before or as it is made.
func (r *runner) keep(kind, id string) error {
	t := thing{kind, id}
	if slices.Contains(r.made, t) {
		return nil
	}
	r.made = append(r.made, t)
	if r.o.Ledger == nil {
		return nil
	}
	if err := r.o.Ledger.Made(kind, id); err != nil {
		return fmt.Errorf("remember the %s %s: %w", kind, id, err)
	}
	return nil
}

// forget is the reverse of keep.
func (r *runner) forget(kind, id string) {
	r.made = slices.DeleteFunc(r.made, func(t thing) bool { return t == thing{kind, id} })
	if r.o.Ledger == nil {
		return
	}
	if err := r.o.Ledger.Gone(kind, id); err != nil {
		r.o.Warn(fmt.Sprintf("the %s %s has gone, and that cannot be written down: %v", kind, id, err))
	}
}

// remove takes one thing away. What cannot be removed now is tried again at
// the end.
func (r *runner) remove(ctx context.Context, kind, id string) (err error) {
	switch kind {
	case MadeSnapshot:
		err = r.o.Driver.DeleteSnapshot(ctx, id)
	case MadeVolume:
		err = r.o.Driver.DeleteVolume(ctx, id)
	case MadeFolder:
		err = r.o.Host.Close(ctx)
	case MadeNamed:
		return errors.New("whether it was made is not known")
	}
	if err == nil {
		r.forget(kind, id)
	}
	return err
}

// clean takes everything away, the youngest first; the volume itself goes
// before the folder it is in. What is left is named.
func (r *runner) clean(ctx context.Context) {
	for _, t := range slices.Backward(slices.Clone(r.made)) {
		err := r.remove(ctx, t.kind, t.id)
		if err == nil {
			continue
		}
		text := fmt.Sprintf("the %s %s is left: %v", t.kind, t.id, err)
		if t.kind == MadeNamed {
			text = fmt.Sprintf("a snapshot called %s may have been made: look for it as the cloud does", t.id)
		} else {
			text += "; to remove it: " + DeleteCommand(r.o.Driver, t.kind, t.id)
		}
		r.out.Leftovers = append(r.out.Leftovers, text)
		r.o.Warn(text)
	}
}

// DeleteCommand is what a person types to remove what was left.
func DeleteCommand(driver any, kind, id string) string {
	switch kind {
	case MadeFolder:
		return "rm -r " + id
	case MadeMount:
		return "umount " + id + " && rmdir " + id
	case MadeNamed:
		return "look for a snapshot called " + id + " as the cloud does"
	}
	if d, ok := driver.(interface{ DeleteCommand(id string) string }); ok {
		return d.DeleteCommand(id)
	}
	return "delete " + id + " as the cloud does"
}
