package infer

// guess collects what the values of one column look like.
type guess struct {
	seen    kinds
	letters [2]bool // t, f
	small   bool    // no integer beyond integer's range; true until one is seen
	begun   bool
}

// text takes a value of text or csv that is not NULL.
func (g *guess) text(v []byte) {
	g.begin()
	k := form(v)
	g.seen |= k
	switch {
	case k == kindLetter && v[0] == 't':
		g.letters[0] = true
	case k == kindLetter:
		g.letters[1] = true
	case k&kindInteger != 0 && len(v) > 9:
		g.small = false
	}
}

func (g *guess) begin() {
	if !g.begun {
		g.begun, g.small = true, true
	}
}

// typ is the narrowest type that holds all values. whole says that there are
// no others.
func (g *guess) typ(whole bool) string {
	seen := g.seen
	only := func(k kinds) bool { return seen&^k == 0 }
	wide := seen&kindWide != 0
	numbers := kindInteger | kindDecimal | kindFloat
	switch {
	case seen == 0 || seen&kindText != 0:
		return Text
	case only(kindWord), only(kindWord | kindLetter):
		if seen&kindWord == 0 && (!g.letters[0] || !g.letters[1]) {
			return Text // a code of one letter, as far as anybody can tell
		}
		return Boolean
	case only(kindInteger | kindWide):
		if whole && g.small {
			return Integer
		}
		return BigInt
	case only(kindInteger | kindDecimal | kindWide):
		return Numeric
	case seen&numbers != 0 && only(numbers|kindEndless|kindNaN) && !wide:
		return Double
	case seen&numbers != 0 && only(numbers|kindWide) && wide:
		return Numeric // digits before speed: it holds exponents, too
	case seen&kindDate != 0 && only(kindDate|kindEndless):
		return Date
	case seen&kindTimestamp != 0 && only(kindDate|kindTimestamp|kindEndless):
		return Timestamp
	case seen&kindZoned != 0 && only(kindZoned|kindEndless):
		return TimestampTZ
	case only(kindUUID):
		return UUID
	}
	return Text
}
