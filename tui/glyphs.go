package tui

// glyphs are the signs of the screen: one set for UTF-8, one for everything
// else.
type glyphs struct {
	ascii                                   bool
	ok, resync, down, switched, unknown     string
	cursor, mark, ellipsis                  string
	up, downArrow, live, paused             string
	hline, vline, topLeft, topRight, bL, bR string
	spark                                   sparkKind
}

func newGlyphs(ascii bool) *glyphs {
	if ascii {
		return &glyphs{
			ascii: true, ok: ".", resync: "~", down: "X", switched: "<", unknown: "?",
			cursor: ">", mark: "*", ellipsis: "~", up: "^", downArrow: "v", live: ">", paused: "=",
			hline: "-", vline: "|", topLeft: "+", topRight: "+", bL: "+", bR: "+", spark: sparkASCII,
		}
	}
	return &glyphs{
		ok: "●", resync: "◐", down: "✖", switched: "⇄", unknown: "?",
		cursor: "▸", mark: "*", ellipsis: "…", up: "▲", downArrow: "▼", live: "▸", paused: "‖",
		hline: "─", vline: "│", topLeft: "┌", topRight: "┐", bL: "└", bR: "┘", spark: sparkBlock,
	}
}
