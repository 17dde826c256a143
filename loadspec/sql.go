package loadspec

import "strings"

// QuoteIdent makes one SQL identifier of a name. It and QuoteLiteral are the
// only places where text becomes SQL.
func QuoteIdent(name string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(name, "\x00", ""), `"`, `""`) + `"`
}

// QuoteLiteral makes one SQL string of a text, whatever
// standard_conforming_strings says.
func QuoteLiteral(text string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\x00", ""), "'", "''")
	if !strings.Contains(text, `\`) {
		return "'" + text + "'"
	}
	return ` E'` + strings.ReplaceAll(text, `\`, `\\`) + "'"
}
