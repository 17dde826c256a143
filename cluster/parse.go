package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"cw/fault"
	"cw/schema"
)

// Load reads a topology file and, if it names one, its profile file. All
// things wrong with them come back at once as schema.Problems.
func Load(path string) (*Topology, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.New(fault.Usage, "cw cluster init writes a commented one", "reading topology: %w", err)
	}
	return Parse(path, data)
}

// Parse reads the text of a topology file. Relative paths in it are taken
// from the folder of file, ~ from the user's home.
func Parse(file string, data []byte) (*Topology, error) {
	tree, problems := schema.Check(file, data, Keys())
	if tree == nil {
		return nil, problems.Err()
	}
	p := &parser{file: file, tree: tree, problems: problems}
	t := &Topology{}
	if err := tree.Decode(t); err != nil {
		// The table has said already what is wrong in better words.
		if len(problems) > 0 {
			return nil, problems.Err()
		}
		return nil, fault.New(fault.Usage, "", "%s: %w", file, err)
	}
	t.setDefaults()
	p.expandHosts(t)
	p.localPaths(t)
	p.profile(t)
	p.measured(t)
	p.validate(t)
	if err := p.problems.Err(); err != nil {
		return nil, err
	}
	return t, nil
}

// parser collects problems together with their place in the file.
type parser struct {
	file     string
	tree     *yaml.Node
	problems schema.Problems
	entries  []int // index in hosts: of the file, for each expanded host
}

// add notes a problem at the place of a path of keys (string) and list
// indexes (int), or at the deepest part of it that is in the file.
func (p *parser) add(path []any, format string, args ...any) {
	node, label := p.tree, ""
	for _, part := range path {
		switch key := part.(type) {
		case string:
			if label != "" {
				label += "."
			}
			label += key
		case int:
			label += fmt.Sprintf("[%d]", key)
		}
		if next := child(node, part); next != nil {
			node = next
		}
	}
	p.problems = append(p.problems, schema.Problem{File: p.file, Line: node.Line, Col: node.Column, Path: label, Message: label + ": " + fmt.Sprintf(format, args...)})
}

func child(n *yaml.Node, part any) *yaml.Node {
	switch key := part.(type) {
	case string:
		if n.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == key {
					return n.Content[i+1]
				}
			}
		}
	case int:
		if n.Kind == yaml.SequenceNode && key < len(n.Content) {
			return n.Content[key]
		}
	}
	return nil
}

// setDefaults fills in what the table of keys promises.
func (t *Topology) setDefaults() {
	str := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	num := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	str(&t.Engine.Via, t.Engine.defaultVia())
	str(&t.Database.Name, "warehouse")
	num(&t.Database.Port, 5432)
	str(&t.Database.Admin, "dwadmin")
	str(&t.Database.Encoding, "UTF8")
	str(&t.Database.Locale, "C.UTF-8")
	str(&t.NodeType, HighSpeed)
	str(&t.Profile, "default")
	str(&t.SSH.HostKey, "accept-new")
	str(&t.SSH.Become, "sudo")
	if t.Engine.Kind == Postgres {
		str(&t.OSUser, "postgres")
		str(&t.TLS.Mode, TLSSelfSigned)
	} else {
		str(&t.TLS.Mode, TLSOff)
		str(&t.OSUser, "gpadmin")
		str(&t.Layout.SegmentsPerHost, "auto")
		str(&t.Layout.Mirrors, MirrorsNone)
		num(&t.Layout.PortBase, 6000)
		num(&t.Layout.MirrorPortBase, 7000)
	}
	if len(t.Layout.DataDirs) == 0 {
		t.Layout.DataDirs = []string{"/var/lib/cw"}
	}
}

// expandHosts replaces ranges by hosts and other words for roles by ours.
func (p *parser) expandHosts(t *Topology) {
	var all []Host
	for i, h := range t.Hosts {
		for j, r := range h.Roles {
			switch r {
			case "primary":
				h.Roles[j] = RoleCoordinator
			case "replica":
				h.Roles[j] = RoleStandby
			}
		}
		hosts, err := expandHost(h)
		if err != nil {
			p.add([]any{"hosts", i, "name"}, "%v", err)
			continue
		}
		for range hosts {
			p.entries = append(p.entries, i)
		}
		all = append(all, hosts...)
	}
	t.Hosts = all
}

// localPaths makes the paths of this machine absolute.
func (p *parser) localPaths(t *Topology) {
	dir := filepath.Dir(p.file)
	for _, f := range []*string{
		&t.Database.PasswordFile, &t.SSH.IdentityFile, &t.SSH.PasswordFile, &t.SSH.BecomePasswordFile,
		&t.TLS.CertFile, &t.TLS.KeyFile, &t.TLS.CAFile, &t.Engine.Package,
	} {
		if *f == "" {
			continue
		}
		abs, err := localPath(dir, *f)
		if err != nil {
			p.add(nil, "%v", err)
			continue
		}
		*f = abs
	}
}

func localPath(dir, path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("expanding %s: %w", path, err)
		}
		return filepath.Join(home, rest), nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return filepath.Abs(path)
}
