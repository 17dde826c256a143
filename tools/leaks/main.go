// Command leaks runs a command, the test suite for instance, keeps every log,
// store and report that it writes under its TMPDIR, also those that it
// deletes, and looks in them for secrets: for what is in the secret files that
// the command made or used, for the words of known.txt, and for what looks
// like a key, a signature or a password whatever its value.
//
//	leaks -known tools/leaks/known.txt -- go test ./...
//
// Exit codes: the command's own where it is not 0; 6 when a secret was found;
// 1 when something could not be looked at.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := run(ctx, os.Stdout, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "leaks:", err)
	}
	os.Exit(code)
}

func run(ctx context.Context, out io.Writer, args []string) (int, error) {
	fs := flag.NewFlagSet("leaks", flag.ContinueOnError)
	known := fs.String("known", "", "file with a secret of the tests in each line")
	under := fs.String("under", os.TempDir(), "where to make the folder that becomes TMPDIR")
	if err := fs.Parse(args); err != nil || fs.NArg() == 0 {
		return 2, errors.New("usage: leaks [-known FILE] [-under DIR] -- COMMAND [ARG...]")
	}
	words, err := readKnown(*known)
	if err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp(*under, "leaks")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	tmp, kept := filepath.Join(dir, "t"), filepath.Join(dir, "kept")
	for _, d := range []string{tmp, kept} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return 1, err
		}
	}
	if err := os.Chmod(tmp, 0o1777); err != nil { // other users' processes write there, too
		return 1, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return 1, err
	}
	k, err := startKeeper(tmp, kept)
	if err != nil {
		return 1, err
	}
	cmd := exec.CommandContext(ctx, fs.Arg(0), fs.Args()[1:]...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	ran := cmd.Run()
	if err := k.stop(); err != nil {
		return 1, err
	}
	found, n, err := scan(k, words)
	if err != nil {
		return 1, err
	}
	for _, f := range found {
		_, _ = fmt.Fprintln(out, f)
	}
	for _, path := range k.missed {
		_, _ = fmt.Fprintln(out, "not looked at, since it is on a file system of its own or another user's:", path)
	}
	_, _ = fmt.Fprintf(out, "leaks: %d files kept (%s), %d secrets of files and %d known ones looked for: %d found\n", n.files, n.kinds(), n.secrets, len(words), len(found))
	var exit *exec.ExitError
	switch {
	case errors.As(ran, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode(), fmt.Errorf("%s: %w", fs.Arg(0), ran)
	case ran != nil:
		return 1, ran
	case len(found) > 0:
		return 6, nil
	case n.files == 0:
		return 1, errors.New("no log was written: nothing is proved")
	}
	return 0, nil
}
