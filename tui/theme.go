package tui

import (
	"image/color"
	"strings"

	"charm.land/lipgloss/v2"
)

// style is the meaning of a piece of text. Its looks are the theme's, and
// never the only thing that carries the meaning.
type style uint8

const (
	stPlain  style = iota
	stDim          // beside the point, stale, or disabled
	stTitle        // names and headings
	stGood         // in order
	stWarn         // look at it
	stBad          // needs you
	stAccent       // what moves: rates, charts
	stKey          // a key to press
	stSel          // the row under the cursor
	stCount
)

// ThemeName is one of auto, dark, light and mono.
type ThemeName string

// The themes.
const (
	ThemeAuto  ThemeName = "auto" // as the terminal says its background is
	ThemeDark  ThemeName = "dark"
	ThemeLight ThemeName = "light"
	ThemeMono  ThemeName = "mono" // bold, faint and reverse only
)

// ThemeNames are the values that --theme takes.
func ThemeNames() []string {
	return []string{string(ThemeAuto), string(ThemeDark), string(ThemeLight), string(ThemeMono)}
}

// theme holds the escape sequences that begin a style, made once.
type theme struct {
	open [stCount]string
}

const styleOff = "\x1b[m"

// newTheme uses the sixteen colours that the user's terminal defines, on its
// own background.
func newTheme(name ThemeName) *theme {
	base := lipgloss.NewStyle()
	st := [stCount]lipgloss.Style{
		stPlain: base, stDim: base.Faint(true), stTitle: base.Bold(true), stGood: base, stWarn: base.Bold(true),
		stBad: base.Bold(true).Underline(true), stAccent: base, stKey: base.Bold(true), stSel: base.Reverse(true),
	}
	paint := func(s style, c color.Color) { st[s] = st[s].Foreground(c) }
	switch name {
	case ThemeMono:
	case ThemeLight:
		paint(stGood, lipgloss.Green)
		paint(stWarn, lipgloss.Magenta) // yellow cannot be read on white
		paint(stAccent, lipgloss.Blue)
		paint(stKey, lipgloss.Blue)
		st[stBad] = base.Bold(true).Foreground(lipgloss.Red)
	default:
		paint(stGood, lipgloss.Green)
		paint(stWarn, lipgloss.Yellow)
		paint(stAccent, lipgloss.Cyan)
		paint(stKey, lipgloss.Cyan)
		st[stBad] = base.Bold(true).Foreground(lipgloss.Red)
	}
	t := &theme{}
	for i := range st {
		t.open[i], _, _ = strings.Cut(st[i].Render("\x00"), "\x00")
	}
	return t
}
