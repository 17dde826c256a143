package remote

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"cw/fault"
)

// HostError is the failure of one host.
type HostError struct {
	Host string
	Err  error
}

// Error begins with the host's name, once: the errors of this package name
// their host themselves.
func (e *HostError) Error() string {
	msg := e.Err.Error()
	if strings.HasPrefix(msg, e.Host+": ") {
		return msg
	}
	return e.Host + ": " + msg
}

// Unwrap gives the cause.
func (e *HostError) Unwrap() error { return e.Err }

// HostErrors are the failures of a parallel run, in the order of the hosts.
type HostErrors struct {
	Total int // hosts asked
	Errs  []*HostError
}

// Error groups the failures: one line when one host was asked, else a
// summary and at most ten lines.
func (e *HostErrors) Error() string {
	if e.Total == 1 {
		return e.Errs[0].Error()
	}
	lines := []string{fmt.Sprintf("%d of %d hosts failed", len(e.Errs), e.Total)}
	for i, he := range e.Errs {
		if i == 10 {
			lines = append(lines, fmt.Sprintf("  … and %d more (all of them with -o json)", len(e.Errs)-i))
			break
		}
		lines = append(lines, "  "+he.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the failures of the hosts.
func (e *HostErrors) Unwrap() []error {
	errs := make([]error, len(e.Errs))
	for i, he := range e.Errs {
		errs[i] = he
	}
	return errs
}

// FaultKind is Partial when some hosts succeeded, else the kind all failures
// share.
func (e *HostErrors) FaultKind() fault.Kind {
	if len(e.Errs) < e.Total {
		return fault.Partial
	}
	kind := fault.KindOf(e.Errs[0].Err)
	for _, he := range e.Errs[1:] {
		if fault.KindOf(he.Err) != kind {
			return fault.Failed
		}
	}
	return kind
}

// Each runs fn on all hosts, at most limit at once (0 is 32), waits for all
// of them, and returns their results in the order of the hosts. The error, if
// any, is a *HostErrors; the results of failed hosts are what fn returned.
func Each[T any](ctx context.Context, hosts []*Host, limit int, fn func(context.Context, *Host) (T, error)) ([]T, error) {
	if limit <= 0 {
		limit = 32
	}
	results, errs := make([]T, len(hosts)), make([]error, len(hosts))
	slots := make(chan struct{}, limit)
	var wg sync.WaitGroup
	for i, h := range hosts {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if errs[i] = ctx.Err(); errs[i] == nil {
				results[i], errs[i] = fn(ctx, h)
			}
		})
	}
	wg.Wait()
	failed := &HostErrors{Total: len(hosts)}
	for i, err := range errs {
		if err != nil {
			failed.Errs = append(failed.Errs, &HostError{Host: hosts[i].Name(), Err: err})
		}
	}
	if len(failed.Errs) > 0 {
		return results, failed
	}
	return results, nil
}
