package commands

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// initHome runs an init command in a home of its own.
func initHome(t *testing.T, env map[string]string, words ...string) (errText string) {
	t.Helper()
	streams, _, errOut := TestStreams("")
	if code := mainWith(t.Context(), streams, func(n string) string { return env[n] }, append([]string{"cw"}, words...)); code != 0 {
		t.Fatalf("%q: exit code %d\n%s", words, code, errOut)
	}
	return errOut.String()
}

// TestInitNamesItsSchema goes the way that an editor goes: from the first
// line of the file to the schema, and with it over the rest.
func TestInitNamesItsSchema(t *testing.T) {
	t.Parallel()
	for kind, words := range map[string][]string{
		"topology": {"cluster", "init"},
		"loadspec": {"load", "init"},
		"monitor":  {"monitor", "init"},
	} {
		for _, home := range []string{"home", "a home with blanks"} {
			dir := filepath.Join(t.TempDir(), home)
			file := filepath.Join(t.TempDir(), "x.yaml")
			env := map[string]string{"HOME": dir}
			initHome(t, env, append(words, file)...)
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(data), "\n")
			place, ok := strings.CutPrefix(first, "# yaml-language-server: $schema=")
			if !ok || strings.Contains(place, " ") {
				t.Fatalf("%s: the first line is %q", kind, first)
			}
			if u, err := url.Parse(place); err == nil && u.Scheme == "file" {
				place = u.Path
			}
			text, err := os.ReadFile(place)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(place); err != nil || info.Mode().Perm() != 0o644 {
				t.Errorf("%s: %v, %v", place, info.Mode(), err)
			}
			var doc yaml.Node
			if err := yaml.Unmarshal(data, &doc); err != nil {
				t.Fatal(err)
			}
			v, _ := asJSON(t, doc.Content[0])
			if err := validator(t, text).Validate(v); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			if err := parseKind(kind, string(data)); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
}

// TestSchemaOfAnOlderVersionIsReplaced and what cannot be written costs the
// line alone.
func TestSchemaOfAnOlderVersionIsReplaced(t *testing.T) {
	t.Parallel()
	data, dir := t.TempDir(), t.TempDir()
	env := map[string]string{"HOME": t.TempDir(), "XDG_DATA_HOME": data}
	place := filepath.Join(data, "cw", "schema", "topology.json")
	if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(place, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	initHome(t, env, "cluster", "init", filepath.Join(dir, "a.yaml"))
	if text, err := os.ReadFile(place); err != nil || len(text) < 1000 {
		t.Errorf("the schema was not replaced: %s, %v", text, err)
	}
	if files, err := os.ReadDir(filepath.Dir(place)); err != nil || len(files) != 1 {
		t.Errorf("left behind: %v, %v", files, err)
	}
	env["XDG_DATA_HOME"] = filepath.Join(dir, "a.yaml") // a file, where a folder is wanted
	said := initHome(t, env, "cluster", "init", filepath.Join(dir, "b.yaml"))
	text, err := os.ReadFile(filepath.Join(dir, "b.yaml"))
	if err != nil || strings.Contains(string(text), "yaml-language-server") || !strings.Contains(said, "warning: write the schema") {
		t.Errorf("%v\n%s\n%s", err, said, text)
	}
}
