package template

import "strings"

// EscapeHTML makes any text one of a page, between tags and in quoted
// attributes. It is no help within script, style or the scheme of a link:
// cw's pages have no value there.
func EscapeHTML(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;", "+", "&#43;", "\x00", "\uFFFD").Replace(text)
}
