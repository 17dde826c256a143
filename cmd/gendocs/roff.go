package main

import (
	"fmt"
	"strings"
)

// page is a man page in the making: plain man(7) macros, as every formatter
// knows them. It bears no date, so that the same sources make the same bytes.
type page struct {
	b     strings.Builder
	fresh bool // right after a heading, where no paragraph is to be begun
}

func newPage(name, section, short string) *page {
	p := &page{}
	fmt.Fprintf(&p.b, ".\\\" Made by cmd/gendocs: change the command, then run make docs.\n")
	fmt.Fprintf(&p.b, ".TH %s %s \"\" \"cw\" \"cw manual\"\n", quote(strings.ToUpper(name)), quote(section))
	fmt.Fprintf(&p.b, ".nh\n.ad l\n") // words of commands are not hyphenated
	p.heading("NAME")
	p.b.WriteString(inline(name) + " \\- " + inline(short) + "\n")
	return p
}

func (p *page) bytes() []byte { return []byte(p.b.String()) }

func (p *page) heading(title string) {
	fmt.Fprintf(&p.b, ".SH %s\n", quote(title))
	p.fresh = true
}

func (p *page) sub(title string) {
	fmt.Fprintf(&p.b, ".SS %s\n", quote(title))
	p.fresh = true
}

func (p *page) paragraph() {
	if !p.fresh {
		p.b.WriteString(".PP\n")
	}
	p.fresh = false
}

// text writes paragraphs. Lines that are indented keep their form, as they do
// in the help.
func (p *page) text(text string) {
	for _, part := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if strings.HasPrefix(part, "  ") {
			p.verbatim(part)
			continue
		}
		prose, list := cutIndented(part)
		p.paragraph()
		for _, line := range strings.Split(prose, "\n") {
			p.b.WriteString(guard(inline(line)) + "\n")
		}
		if list != "" {
			p.verbatim(list)
		}
	}
}

// cutIndented splits a paragraph where its first indented line begins.
func cutIndented(text string) (prose, list string) {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if i > 0 && strings.HasPrefix(l, "  ") {
			return strings.Join(lines[:i], "\n"), strings.Join(lines[i:], "\n")
		}
	}
	return text, ""
}

// verbatim writes lines as they are.
func (p *page) verbatim(text string) {
	p.paragraph()
	p.b.WriteString(".nf\n.RS 4\n")
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		p.b.WriteString(guard(inline(strings.TrimPrefix(line, "  "))) + "\n")
	}
	p.b.WriteString(".RE\n.fi\n")
}

// item is a term, written as given, and what it means.
func (p *page) item(term, text string) {
	p.fresh = false
	p.b.WriteString(".TP\n" + guard(term) + "\n")
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		p.b.WriteString(guard(inline(strings.TrimSpace(line))) + "\n")
	}
}

// note is a line of its own under an item.
func (p *page) note(text string) { p.b.WriteString(".br\n" + guard(inline(text)) + "\n") }

func bold(text string) string   { return `\fB` + inline(text) + `\fR` }
func italic(text string) string { return `\fI` + inline(text) + `\fR` }

// inline escapes what roff would take for its own: backslashes, hyphens that
// have to stay hyphens when a command is pasted, quotes that formatters turn,
// and signs outside of ASCII, which old formatters do not know.
func inline(text string) string {
	return strings.NewReplacer(
		`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, `"`, `\(dq`,
		"…", "...", "–", `\(en`, "—", `\(em`, "→", `\(->`, "←", `\(<-`, "↑", `\(ua`, "↓", `\(da`, "×", `\(mu`, "÷", `\(di`, "µ", `\(mc`, "≤", `\(<=`, "≥", `\(>=`,
	).Replace(text)
}

// guard keeps a line from being taken for a macro.
func guard(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}

// quote makes one argument of a macro.
func quote(text string) string { return `"` + inline(text) + `"` }
