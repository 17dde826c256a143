package commands

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"cw/loadspec/run"
	"cw/state"
)

func newLoadPause(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "pause JOB", Short: "Stop a load for a while", Args: args(1, 1), Annotations: mutating(),
		Long:    "Stop a load for a while: nothing more is read until cw load continue JOB." + exitHelp(5),
		Example: "  cw load pause l7q2mx4",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.loadWant(cmd.Context(), args[0], state.WantPause, "pauses")
		},
	}
}

func newLoadContinue(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "continue JOB", Short: "Let a paused load go on", Args: args(1, 1), Annotations: mutating(),
		Long:    "Let a paused load go on." + exitHelp(5),
		Example: "  cw load continue l7q2mx4",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.loadWant(cmd.Context(), args[0], state.WantRun, "goes on")
		},
	}
}

func (a *App) loadWant(ctx context.Context, id, want, what string) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	ask := run.Pause
	if want == state.WantRun {
		ask = run.Continue
	}
	if err := ask(ctx, st, id); err != nil {
		return err
	}
	a.asked(ctx, st, id, want)
	a.infof("load %s %s", id, what)
	return nil
}

// asked is the event of an operator's wish; the load itself writes one when it
// follows it.
func (a *App) asked(ctx context.Context, st *state.Store, job, want string) {
	verb := map[string]string{state.WantPause: "pause", state.WantRun: "continue", state.WantCancel: "cancel"}[want]
	a.event(ctx, state.Event{
		Kind: state.EventAction, Job: job, Message: fmt.Sprintf("%s asked %s to %s", st.Who(), job, verb),
		Data: map[string]any{"action": verb, "by": st.Who()},
	})
}
