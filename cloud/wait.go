package cloud

import (
	"context"
	"time"
)

// Wait waits between two looks at a cloud, or until the context ends, whose
// cause it returns.
func Wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
