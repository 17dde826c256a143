package chart

import _ "embed"

//go:embed style.css
var style string

// Style is what the pages have in common: colours for light and dark, tables,
// charts and their legends, narrow windows and paper.
func Style() string { return style }
