package main

import (
	"strings"

	"cw/commands"
	"cw/schema"
)

// fileText says what a kind of file is for.
func fileText(kind string) (short, about string) {
	switch kind {
	case "topology":
		return "the topology of a cluster", "The hosts, the engine and the layout of a cluster, in YAML. cw cluster init writes one with comments, cw cluster check compares it with the hosts."
	case "loadspec":
		return "the control file of a load", "What is loaded from where into which table, in YAML. Every control file of gpload is one; keys may be in upper or lower case. cw load init writes one with comments, cw load check compares it with database and objects."
	case "unloadspec":
		return "the control file of an unload", "Which table or query is unloaded to where, in YAML: a control file whose INPUT is the database and whose OUTPUT is objects. Keys may be in upper or lower case."
	case "monitor":
		return "the configuration of cw monitor", "Who is told of what, and the bounds of alerts, in YAML. cw monitor init writes one with comments, cw monitor test sends a test."
	case "rules":
		return "rules of inspection for cw report", "Rules of your own beside those of cw, in YAML: cw report NAME --rules FILE. A rule of the same name replaces one of cw's."
	case "config":
		return "cw's own settings", "Defaults of global flags, in YAML, in ~/.config/cw/config.yaml. Flags and variables are stronger: cw config show says what is in force, and why."
	}
	return "a file of cw", "A file of cw, in YAML."
}

func filePage(kind string, key schema.Key) []byte {
	short, about := fileText(kind)
	p := newPage("cw-"+kind, "5", short)
	p.heading("DESCRIPTION")
	p.text(about)
	p.text("The keys are those of cw explain " + kind + "; cw schema " + kind + " prints them as a JSON Schema for editors. A key that is not known, a wrong type and a missing value are errors with line and column.")
	p.heading("KEYS")
	writeKeys(p, key, "")
	p.heading("SEE ALSO")
	p.b.WriteString(".BR cw (1),\n.BR cw\\-explain (1),\n.BR cw\\-schema (1),\n.BR cw\\-units (7)\n")
	return p.bytes()
}

// writeKeys writes the keys below one, each with its path.
func writeKeys(p *page, k schema.Key, path string) {
	if k.Type == schema.List && k.Elem != nil {
		k, path = *k.Elem, path+"[]"
	} else if len(k.Keys) == 0 && k.Elem != nil && len(k.Elem.Keys) > 0 {
		k, path = *k.Elem, path+".NAME"
	}
	for _, sub := range k.Keys {
		name := strings.TrimPrefix(path+"."+sub.Name, ".")
		about := sentence(sub.Doc)
		if sub.Required {
			about += " Required."
		}
		if sub.Default != "" {
			about += " Default: " + sub.Default + "."
		}
		p.item(bold(name)+" ("+inline(commands.TypeName(sub))+")", about)
		if sub.Example != "" {
			p.note("Example: " + sub.Example)
		}
		writeKeys(p, sub, name)
	}
}

func topicPage(t commands.ReferenceTopic) []byte {
	p := newPage("cw-"+t.Name, "7", lowerFirst(t.Short))
	p.heading("DESCRIPTION")
	p.text(t.Text)
	p.heading("SEE ALSO")
	p.b.WriteString(".BR cw (1)\n")
	return p.bytes()
}

func programPage(pr commands.ReferenceProgram) []byte {
	p := newPage(pr.Name, "1", lowerFirst(pr.Short))
	p.heading("SYNOPSIS")
	p.b.WriteString(bold(pr.Name) + " [options]\n.br\n" + bold("cw "+pr.Name) + " [options]\n")
	p.heading("DESCRIPTION")
	p.text(pr.About)
	p.heading("EXAMPLES")
	p.verbatim(pr.Examples)
	p.heading("OPTIONS")
	p.verbatim(indent(pr.Usage))
	p.heading("SEE ALSO")
	p.b.WriteString(".BR cw (1),\n.BR cw\\-load (1),\n.BR cw\\-serve (1),\n.BR cw\\-perf (1)\n")
	return p.bytes()
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

func lowerFirst(text string) string {
	if len(text) > 1 && text[1] >= 'a' && text[1] <= 'z' {
		return strings.ToLower(text[:1]) + text[1:]
	}
	return text
}

// sentence begins with a capital and ends with a full stop.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	if c := text[0]; c >= 'a' && c <= 'z' && !strings.HasPrefix(text, "cw ") {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, ":") && !strings.HasSuffix(text, "?") {
		text += "."
	}
	return text
}
