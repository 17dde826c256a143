// Command gendocs writes what is generated and checked in: man pages,
// completion scripts, JSON Schemas and docs/commands.md. All of it comes from
// the command tree and the tables that cw itself works with, so that none of
// it can say something else than the program does. It is no part of cw.
//
//	go run ./cmd/gendocs [--check] [FOLDER]
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run writes all files below a folder (the repository, by default), or says
// which of them are stale.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	check, root := false, "."
	for _, a := range args {
		if a == "--check" {
			check = true
		} else {
			root = a
		}
	}
	files, err := generate(ctx)
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "gendocs:", err)
		return 1
	}
	if check {
		stale, err := compare(root, files)
		switch {
		case err != nil:
			_, _ = fmt.Fprintln(errOut, "gendocs:", err)
			return 1
		case len(stale) > 0:
			for _, s := range stale {
				_, _ = fmt.Fprintln(errOut, s)
			}
			_, _ = fmt.Fprintln(errOut, "run: make docs")
			return 1
		}
		return 0
	}
	changed, err := write(root, files)
	for _, c := range changed {
		_, _ = fmt.Fprintln(out, c)
	}
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "gendocs:", err)
		return 1
	}
	return 0
}
