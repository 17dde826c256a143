// Package guc reads values of PostgreSQL's settings (grand unified
// configuration) as the server reads them: 64MB and 65536kB are the same.
package guc

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Row is a row of pg_settings.
type Row struct {
	Name    string   `json:"name"`
	Show    string   `json:"show"`    // as SHOW prints it
	Setting string   `json:"setting"` // in Unit
	Unit    string   `json:"unit"`
	Type    string   `json:"type"` // bool, integer, real, string, enum
	Context string   `json:"context"`
	Min     string   `json:"min"`
	Max     string   `json:"max"`
	Enum    []string `json:"enum"`
	Pending bool     `json:"pending"` // a change waits for a restart
	Source  string   `json:"source"`
	File    *string  `json:"file"` // what its configuration files say; the last line counts
	Auto    *string  `json:"auto"` // what ALTER SYSTEM's file says
}

// The units of settings (PostgreSQL 15 docs, 20.1.1): bytes and microseconds.
var (
	memoryUnits = map[string]float64{"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}       //nolint:gochecknoglobals // constant table
	timeUnits   = map[string]float64{"us": 1, "ms": 1e3, "s": 1e6, "min": 60e6, "h": 3600e6, "d": 24 * 3600e6} //nolint:gochecknoglobals // constant table
)

// Canonical reads a value as the server would, and writes it as pg_settings
// has it, so that 65536kB and 64MB are the same. Its error says what would do.
func (g Row) Canonical(value string) (string, error) {
	switch g.Type {
	case "bool":
		return g.boolean(value)
	case "enum":
		for _, v := range g.Enum {
			if strings.EqualFold(v, strings.TrimSpace(value)) {
				return v, nil
			}
		}
		// on and off among others take all their spellings.
		if b, err := g.boolean(value); err == nil && slices.Contains(g.Enum, b) {
			return b, nil
		}
		return "", fmt.Errorf("%q is none of: %s", value, strings.Join(g.Enum, ", "))
	case "integer", "real":
		return g.number(value)
	}
	if strings.ContainsAny(value, "\n\r\x00") {
		return "", fmt.Errorf("a setting is one line")
	}
	return value, nil
}

func (g Row) boolean(value string) (string, error) {
	v := strings.ToLower(strings.TrimSpace(value))
	prefix := func(word string, least int) bool { return len(v) >= least && strings.HasPrefix(word, v) }
	switch {
	case v == "1", prefix("true", 1), prefix("yes", 1), v == "on":
		return "on", nil
	case v == "0", prefix("false", 1), prefix("no", 1), prefix("off", 2):
		return "off", nil
	}
	return "", fmt.Errorf("%q is neither on nor off", value)
}

func (g Row) number(value string) (string, error) {
	text := strings.TrimSpace(value)
	end := strings.LastIndexAny(text, "0123456789.") + 1
	unit := strings.TrimSpace(text[end:])
	if unit != "" && strings.HasPrefix(strings.ToLower(text), "0x") {
		return "", fmt.Errorf("%q is not a number", value)
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(text[:end]), 64)
	if err != nil {
		i, ierr := strconv.ParseInt(strings.TrimSpace(text[:end]), 0, 64) // hexadecimal and octal
		if n = float64(i); ierr != nil {
			return "", fmt.Errorf("%q is not a number", value)
		}
	}
	if unit != "" {
		if n, err = g.scale(n, unit); err != nil {
			return "", err
		}
	}
	if g.Type == "integer" {
		n = math.RoundToEven(n)
	}
	least, err1 := strconv.ParseFloat(g.Min, 64)
	most, err2 := strconv.ParseFloat(g.Max, 64)
	if err1 == nil && err2 == nil && (n < least || n > most) || math.IsNaN(n) || math.IsInf(n, 0) {
		return "", fmt.Errorf("%q is outside of %s to %s%s", value, g.Min, g.Max, strings.TrimRight(" "+g.Unit, " "))
	}
	return strconv.FormatFloat(n, 'f', -1, 64), nil
}

// scale turns a number of some unit into one of the setting's own.
func (g Row) scale(n float64, unit string) (float64, error) {
	base := strings.TrimLeft(g.Unit, "0123456789")
	times := 1.0
	if head := strings.TrimSuffix(g.Unit, base); head != "" {
		times, _ = strconv.ParseFloat(head, 64)
	}
	for _, table := range []map[string]float64{memoryUnits, timeUnits} {
		if own, ok := table[base]; ok {
			if factor, ok := table[unit]; ok {
				return n * factor / (own * times), nil
			}
			return 0, fmt.Errorf("%q is not a unit of it: %s are", unit, strings.Join(unitNames(table), ", "))
		}
	}
	return 0, fmt.Errorf("it has no unit, %q is one too many", unit)
}

func unitNames(table map[string]float64) []string {
	var names []string
	for n := range table {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int { return int(math.Copysign(1, table[a]-table[b])) })
	return names
}

// Same says whether two values mean the same.
func (g Row) Same(a, b string) bool {
	x, err1 := g.Canonical(a)
	y, err2 := g.Canonical(b)
	switch {
	case a == b:
		return true
	case err1 != nil || err2 != nil:
		return false
	case g.Name == "DateStyle": // the server writes it its own way
		return strings.EqualFold(x, y)
	case g.Name == "wal_compression": // on is the old word for pglz
		return x == y || x == "on" && y == "pglz" || x == "pglz" && y == "on"
	}
	return x == y
}
