package commands

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// errDeclined is what saying no gives: nothing was changed.
var errDeclined = usagef("", "nothing was changed")

// confirm asks a yes/no question whose default is no. yes answers it; without
// a terminal there is nobody to ask.
func (a *App) confirm(ctx context.Context, question string, yes bool) error {
	if yes {
		return nil
	}
	answer, err := a.ask(ctx, question+" [y/N] ", "add --yes to go on without a question, or --dry-run to only look")
	if err != nil {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errDeclined
	}
	return nil
}

// confirmName wants the name of the cluster that is to be destroyed, typed or given as
// --confirm.
func (a *App) confirmName(ctx context.Context, name, given string) error {
	if given == "" {
		answer, err := a.ask(ctx, "Type the cluster's name to go on: ", fmt.Sprintf("add --confirm %s", name))
		if err != nil {
			return err
		}
		given = strings.TrimSpace(answer)
	}
	if given != name {
		return usagef(fmt.Sprintf("add --confirm %s", name), "%q is not the name of the cluster (%s): nothing was changed", given, name)
	}
	return nil
}

func (a *App) ask(ctx context.Context, question, hint string) (string, error) {
	if !a.IO.InTTY || a.flags.noInput {
		return "", usagef(hint, "this needs a confirmation, and there is no terminal to ask at")
	}
	_, _ = io.WriteString(a.IO.Err, question)
	return a.readLine(ctx, func() (string, error) {
		line, err := bufio.NewReader(a.IO.In).ReadString('\n')
		if errors.Is(err, io.EOF) && line != "" {
			err = nil
		}
		return line, err
	})
}

// promptSecret asks for a password or passphrase; the answer is not shown.
func (a *App) promptSecret(ctx context.Context, question string) (string, error) {
	if !a.IO.InTTY || a.flags.noInput {
		return "", usagef("use a key file, ssh-agent, or a *_file key in the topology", "%s: there is no terminal to ask at", strings.TrimRight(question, ": "))
	}
	_, _ = io.WriteString(a.IO.Err, strings.TrimRight(question, ": ")+": ")
	defer func() { _, _ = io.WriteString(a.IO.Err, "\n") }()
	return a.readLine(ctx, a.IO.ReadSecret)
}

// readLine lets Ctrl-C win over a read that cannot be interrupted.
func (a *App) readLine(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := read()
		got <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case r := <-got:
		if r.err != nil {
			return "", fmt.Errorf("read the answer: %w", r.err)
		}
		return r.text, nil
	}
}
