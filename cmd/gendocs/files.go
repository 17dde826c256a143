package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"cw/commands"
)

// folders belong to gendocs alone: a file in them that it does not write is
// stale.
func folders() []string { return []string{"man", "completions", "docs/schema"} }

// generate makes all files in memory, by their paths in the repository.
func generate(ctx context.Context) (map[string][]byte, error) {
	r := commands.NewReference(ctx)
	files := map[string][]byte{"docs/commands.md": commandsPage(r)}
	maps.Copy(files, manPages(r))
	for _, kind := range r.Kinds {
		var b bytes.Buffer
		if err := r.WriteSchema(kind, &b); err != nil {
			return nil, err
		}
		files["docs/schema/"+kind+".json"] = b.Bytes()
	}
	for _, s := range r.Scripts {
		var b bytes.Buffer
		if err := s.Write(&b); err != nil {
			return nil, err
		}
		files["completions/"+s.File] = b.Bytes()
	}
	return files, nil
}

// compare says which files below root are not as they would be written.
func compare(root string, files map[string][]byte) ([]string, error) {
	var stale []string
	for _, path := range slices.Sorted(maps.Keys(files)) {
		is, err := os.ReadFile(filepath.Join(root, path))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			stale = append(stale, path+": missing")
		case err != nil:
			return nil, err
		case !bytes.Equal(is, files[path]):
			stale = append(stale, path+": stale")
		}
	}
	left, err := leftovers(root, files)
	for _, path := range left {
		stale = append(stale, path+": not written any more")
	}
	return stale, err
}

// leftovers are files of a command or kind that there is no longer.
func leftovers(root string, files map[string][]byte) ([]string, error) {
	var left []string
	for _, dir := range folders() {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if path := dir + "/" + e.Name(); files[path] == nil {
				left = append(left, path)
			}
		}
	}
	return left, nil
}

// write brings the files below root up to date and says which it changed.
func write(root string, files map[string][]byte) ([]string, error) {
	var changed []string
	for _, path := range slices.Sorted(maps.Keys(files)) {
		name := filepath.Join(root, path)
		if is, err := os.ReadFile(name); err == nil && bytes.Equal(is, files[path]) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // checked in for all to read
			return changed, err
		}
		if err := os.WriteFile(name, files[path], 0o644); err != nil { //nolint:gosec // the same
			return changed, err
		}
		changed = append(changed, "wrote "+path)
	}
	left, err := leftovers(root, files)
	for _, path := range left {
		err = errors.Join(err, os.Remove(filepath.Join(root, path)))
		changed = append(changed, "removed "+path)
	}
	return changed, err
}
