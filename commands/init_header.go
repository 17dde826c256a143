package commands

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// schemaHeader is the line by which editors find the schema of a file: they
// then complete its keys and mark what is wrong. The schema is written beside
// cw's other data; without it the file is as good, and has no such line.
func (a *App) schemaHeader(kind string) string {
	path := filepath.Join(a.Paths.SchemaDir(), kind+".json")
	if err := keepSchema(path, kind); err != nil {
		a.warnf("%v: editors will not know the keys of the file", err)
		return ""
	}
	if strings.ContainsAny(path, " \t#%?") { // the line ends at a blank
		path = (&url.URL{Scheme: "file", Path: path}).String()
	}
	return "# yaml-language-server: $schema=" + path + "\n"
}

// keepSchema writes a schema where it is not, or is another version's. It
// appears whole or not at all: an editor may be reading it.
func keepSchema(path, kind string) error {
	if !filepath.IsAbs(path) {
		return errors.New("neither HOME nor XDG_DATA_HOME is set")
	}
	var text bytes.Buffer
	if err := writeSchema(&text, schemaOf(kind)); err != nil {
		return err
	}
	if is, err := os.ReadFile(path); err == nil && bytes.Equal(is, text.Bytes()) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // nothing in it is secret
		return fmt.Errorf("write the schema: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), kind+"-*.tmp")
	if err != nil {
		return fmt.Errorf("write the schema: %w", err)
	}
	_, err = f.Write(text.Bytes())
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write the schema: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
