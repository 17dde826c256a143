package commands

import (
	"slices"
	"strings"

	"cw/schema"
)

// oneOf checks a value of which there are few.
func oneOf(flag, value string, valid []string) error {
	if slices.Contains(valid, value) {
		return nil
	}
	return notKnown(flag, value, valid...)
}

// notKnown is the error of a value that there is not: it names the one that
// was probably meant, else all that there are.
func notKnown(flag, value string, valid ...string) error {
	valid = slices.DeleteFunc(slices.Clone(valid), func(v string) bool { return v == "" })
	hint := "one of: " + strings.Join(valid, ", ")
	if near := schema.Nearest(value, valid); near != "" {
		hint = "did you mean " + near + "?"
	}
	return usagef(hint, "%s %q is not known", flag, value)
}
