package tui

import (
	"context"
	"errors"
	"fmt"
	"io"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"cw/fault"
)

// framesPerSecond caps the painting: the renderer's clock never sleeps, and
// 30 is what a reader can use.
const framesPerSecond = 30

// Run shows the dashboard until the user leaves it or the context ends; the
// latter is an error of kind fault.Interrupted. The caller has made sure that
// in and out are a terminal. The terminal is as before when Run returns.
func Run(ctx context.Context, opts Options, in io.Reader, out io.Writer) error {
	app := New(ctx, opts)
	// Signals are not left to the library, which takes a TERM for a wish to
	// quit: they end the context, as in every command.
	teaOpts := []tea.ProgramOption{
		tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithFPS(framesPerSecond), tea.WithoutSignalHandler(),
	}
	if opts.NoColor {
		// Not left to the library: it takes NO_COLOR for a boolean, and
		// no-color.org says any value. ASCII keeps bold and reverse.
		teaOpts = append(teaOpts, tea.WithColorProfile(colorprofile.ASCII))
	}
	_, err := tea.NewProgram(app, teaOpts...).Run()
	switch {
	case err == nil:
		return app.failure
	case errors.Is(err, tea.ErrProgramPanic):
		return fmt.Errorf("cw top: %w", err)
	case errors.Is(err, tea.ErrInterrupted), errors.Is(err, tea.ErrProgramKilled), errors.Is(err, context.Canceled):
		return fault.New(fault.Interrupted, "", "cw top was interrupted")
	}
	return fmt.Errorf("cw top: %w", err)
}
