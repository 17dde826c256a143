package step

import (
	"context"
	"fmt"
)

// Said is the state of an Event in which a running step tells what it is
// doing; Event.Observed is what it said. The journal does not have it.
const Said = "said"

type sayKey struct{}

// Say tells the reporter of the run that a step is part of what it is doing. A
// step that runs another program passes on that program's lines. Outside a run
// nobody listens.
func Say(ctx context.Context, format string, args ...any) {
	if tell, ok := ctx.Value(sayKey{}).(func(string)); ok {
		tell(fmt.Sprintf(format, args...))
	}
}

// saying gives a step's context the way to the loop of its execution. The
// returned function ends it: what is said later is dropped, since the loop may
// be gone.
func (x *execution) saying(ctx context.Context, index int) (context.Context, func()) {
	over := make(chan struct{})
	tell := func(text string) {
		select {
		case <-over:
		case x.results <- result{index: index, state: Said, note: text}:
		}
	}
	return context.WithValue(ctx, sayKey{}, tell), func() { close(over) }
}
