// Package schema describes cw's YAML files as tables of keys and checks a
// file against such a table: unknown keys, wrong types and missing values are
// all reported at once with file, line, column and the nearest valid key. The
// same tables explain the files to people and to editors, so that parser,
// help and JSON Schema cannot disagree. It is shared by cluster (topology)
// and loadspec (load control file), which are siblings and may not import
// each other.
package schema

// Type is the type of a key's value.
type Type int

// The value types of cw's files.
const (
	String   Type = iota
	Int           // decimal integer
	Bool          // true or false (yes and no too, as gpload reads them)
	Enum          // one of Key.Enum
	Size          // bytes: 64MB, 1GiB, 512
	Rate          // bytes per second: 200MB/s, 1GiB/s, none
	Duration      // 300ms, 5s, 1m
	List          // sequence of Elem; a single scalar is taken as a list of one
	Map           // mapping with Keys, or with any keys when Keys is empty and Elem says of what
	Sections      // gpload's way to write a mapping: a sequence of one-key mappings with Keys
	Count         // a number, or a share of all: 100, 5%, 0.5%
	Span          // Duration, with days too: 90d, 36h, 0
)

func (t Type) String() string {
	return [...]string{"string", "integer", "boolean", "one of", "size", "rate", "duration", "list", "mapping", "list of one-key mappings", "number or percentage", "duration"}[t]
}

// Key is one key of a file: what it is called, what it takes, what it means.
type Key struct {
	Name     string
	Type     Type
	Enum     []string // for Enum, in the order help shows them
	Required bool
	Repeat   bool // inside Sections: may stand more than once
	Default  string
	Doc      string // one sentence
	Example  string
	Keys     []Key // of Map and Sections
	Elem     *Key  // of List, and of Map with free keys
}
