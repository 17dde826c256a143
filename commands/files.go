package commands

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// readFileArg reads a file named on the command line; - is standard input.
func readFileArg(streams *Streams, path string) (name string, data []byte, err error) {
	if path == "-" {
		data, err = io.ReadAll(streams.In)
		if err != nil {
			err = fmt.Errorf("read standard input: %w", err)
		}
		return "<stdin>", data, err
	}
	data, err = os.ReadFile(path)
	if err != nil {
		return path, nil, usagef("", "%s", strings.TrimPrefix(err.Error(), "open "))
	}
	return path, data, nil
}

// writeSample writes a file of a kind for the user to edit, or to standard
// output when file is -. next is the command that comes after, which takes the
// file.
func (a *App) writeSample(kind, file, text string, force bool, next string) error {
	if file == "-" {
		_, err := io.WriteString(a.IO.Out, text)
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	if dir := filepath.Dir(file); dir == a.Paths.Config { // the folder that our own examples name
		if err := makePrivateDir(dir); err != nil {
			return err
		}
	}
	text = a.schemaHeader(kind) + text
	f, err := os.OpenFile(file, flags, 0o644) //nolint:gosec // no secrets in it
	if errors.Is(err, fs.ErrExist) {
		return usagef("name another file, or add --force", "%s exists already", file)
	}
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("write the file: %w", err)
	}
	a.infof("wrote %s: edit it, then: %s %s", file, next, file)
	return nil
}
