package cluster

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"cw/schema"
)

// baseKey is where Overrides keeps the name of the built-in profile under a
// profile file; no setting is called so.
const baseKey = "cw.base"

var settingName = regexp.MustCompile(`^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$`)

// ownedSettings are decided by topology and layout; a profile cannot set them.
var ownedSettings = []string{ //nolint:gochecknoglobals // constant table
	"port", "listen_addresses", "unix_socket_directories", "data_directory", "hba_file", "ident_file", "config_file",
	"ssl", "ssl_cert_file", "ssl_key_file", "ssl_ca_file", "primary_conninfo", "primary_slot_name", "password_encryption",
	"wal_level", "hot_standby", "include", "include_dir", "include_if_exists", "cluster_name", "external_pid_file",
	"gp_dbid", "gp_contentid", "gp_session_role", "gp_role",
}

// OwnsSetting says whether topology and layout decide a setting, so that nobody
// else may.
func OwnsSetting(name string) bool { return slices.Contains(ownedSettings, name) }

// profileKeys is the table of a profile file's keys.
func profileKeys() schema.Key {
	return schema.Key{Type: schema.Map, Keys: []schema.Key{
		{Name: "base", Type: schema.Enum, Enum: ProfileNames(), Default: "default", Doc: "Built-in profile the file stands on."},
		{Name: "settings", Type: schema.Map, Required: true, Example: "{work_mem: 64MB}", Doc: "Settings of postgresql.conf.", Elem: &schema.Key{Type: schema.String}},
	}}
}

// profile resolves Topology.Profile: a built-in name, or a file.
func (p *parser) profile(t *Topology) {
	if slices.Contains(ProfileNames(), t.Profile) {
		return
	}
	if !strings.ContainsAny(t.Profile, "/.") {
		msg := "%q is not a profile: %s are, and files whose name has a dot or a slash"
		if near := schema.Nearest(t.Profile, ProfileNames()); near != "" {
			msg += "; did you mean " + near + "?"
		}
		p.add([]any{"profile"}, msg, t.Profile, strings.Join(ProfileNames(), ", "))
		return
	}
	file, err := localPath(filepath.Dir(p.file), t.Profile)
	if err != nil {
		p.add([]any{"profile"}, "%v", err)
		return
	}
	data, err := os.ReadFile(file)
	if err != nil {
		p.add([]any{"profile"}, "reading the file: %v", err)
		return
	}
	tree, problems := schema.Check(file, data, profileKeys())
	p.problems = append(p.problems, problems...)
	if len(problems) > 0 {
		return
	}
	var content struct {
		Base     string            `yaml:"base"`
		Settings map[string]string `yaml:"settings"`
	}
	if err := tree.Decode(&content); err != nil {
		p.add([]any{"profile"}, "%s: %v", file, err)
		return
	}
	t.Profile, t.Overrides = file, map[string]string{}
	if content.Base != "" {
		t.Overrides[baseKey] = content.Base
	}
	sub := &parser{file: file, tree: tree}
	for name, value := range content.Settings {
		switch at := []any{"settings", name}; {
		case !settingName.MatchString(name):
			sub.add(at, "%q is not the name of a setting", name)
		case slices.Contains(ownedSettings, name):
			sub.add(at, "cw sets it from the topology: take it out")
		case strings.ContainsAny(value, "\n\r\x00"):
			sub.add(at, "a setting is one line")
		default:
			t.Overrides[name] = value
		}
	}
	p.problems = append(p.problems, sub.problems...)
}

// baseProfile is the built-in profile under a profile file.
func baseProfile(t *Topology) string {
	if b := t.Overrides[baseKey]; b != "" {
		return b
	}
	return "default"
}
