package docs_test

import (
	"go/ast"
	"regexp"
	"strings"
	"testing"
)

// hint is a command of cw in a text that people are shown. What follows a
// comma, a semicolon or a bracket is the sentence again.
var hint = regexp.MustCompile(`(?:^|[ (:=])(cw (?:cluster|load|unload|serve|perf|top|monitor|events|report|playground|explain|schema|completion|config|version|help)(?: [^,;()\n]*)?)`)

// TestHints parses every command that a text of the sources tells people to
// type: its commands and flags exist.
func TestHints(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	eachSource(t, func(path string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, ok := constant(e)
			if !ok {
				return true
			}
			for _, m := range hint.FindAllStringSubmatch(text, -1) {
				call := named(m[1])
				if words := strings.Fields(call); seen[call] || len(words) > 2 && (words[2] == "1" || words[2] == "…") { // the verb is not in the text
					continue
				}
				seen[call] = true
				if err := parses(call); err != nil {
					t.Errorf("%s: %q: %v", path, m[1], err)
				}
			}
			return false
		})
	})
	if len(seen) < 100 {
		t.Errorf("only %d commands were found in the sources", len(seen))
	}
	t.Logf("%d commands", len(seen))
}

// named gives what stands in the place of a name one, and leaves out the words
// of a sentence that goes on behind the command.
func named(call string) string {
	call = verb.ReplaceAllString(strings.ReplaceAll(call, ".%v", ""), "1")
	call = strings.ReplaceAll(call, "--segments N", "--segments 1")
	words := strings.Fields(call)
	for i, w := range words {
		if i > 2 && (sentence[w] || strings.HasSuffix(words[i-1], ":") || strings.HasSuffix(words[i-1], ".")) || strings.ContainsAny(w, "|>&#") || i > 1 && (sentence[w] || sentence[strings.TrimRight(w, ".:")]) {
			words = words[:i]
			break
		}
	}
	return strings.TrimRight(strings.Join(words, " "), ".:?")
}

// sentence are words that follow a command in a text and are none of it.
var sentence = map[string]bool{
	"in": true, "has": true, "and": true, "or": true, "is": true, "with": true, "the": true, "shows": true, "goes": true, "as": true, "can": true, "makes": true, "lists": true,
	"finishes": true, "for": true, "tells": true, "of": true, "on": true, "to": true, "from": true, "when": true, "does": true, "waits": true, "starts": true, "writes": true,
	"changes": true, "needs": true, "wants": true, "keeps": true, "says": true, "prints": true, "that": true, "which": true, "first": true, "again": true, "before": true,
	"where": true, "what": true, "was": true, "while": true, "then": true, "after": true, "until": true, "cannot": true, "has.": true, "knows": true, "takes": true, "measures": true, "by": true, "at": true,
}
