package qingcloud

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// The API's answers do not keep to the types of its documentation: numbers
// come as strings and the other way round, a job as a string or as a list,
// nothing as null, "", {} or []. The types below take all of these.

// number is a whole number, or not set.
type number struct {
	N   int64
	Set bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(data []byte) error {
	*n = number{}
	s := strings.TrimSpace(strings.Trim(string(data), `"`))
	switch s {
	case "true":
		*n = number{1, true}
	case "false":
		*n = number{0, true}
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		*n = number{i, true}
	} else if f, err := strconv.ParseFloat(s, 64); err == nil && f > -1e18 && f < 1e18 {
		*n = number{int64(f), true}
	}
	return nil // what is no number is not told
}

// text is a string, or a number written as one.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(data []byte) error {
	*t = ""
	var s string
	switch {
	case json.Unmarshal(data, &s) == nil:
		*t = text(s)
	case len(data) > 0 && data[0] != '{' && data[0] != '[':
		*t = text(data)
	}
	return nil
}

// texts is a list of strings: as a list, as one string with spaces or commas
// between them, or as nothing.
type texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *texts) UnmarshalJSON(data []byte) error {
	*t = nil
	var list []text
	if json.Unmarshal(data, &list) == nil {
		for _, s := range list {
			if s != "" {
				*t = append(*t, string(s))
			}
		}
		return nil
	}
	var s text
	_ = s.UnmarshalJSON(data)
	*t = strings.FieldsFunc(string(s), func(r rune) bool { return r == ' ' || r == ',' })
	return nil
}

// first is the only one of a list, or its first.
func (t texts) first() string {
	if len(t) == 0 {
		return ""
	}
	return t[0]
}

// one is an object that may also come as a list of one, or as nothing.
type one[T any] struct{ V T }

// UnmarshalJSON implements json.Unmarshaler.
func (o *one[T]) UnmarshalJSON(data []byte) error {
	var zero T
	o.V = zero
	switch data = bytes.TrimSpace(data); {
	case len(data) > 0 && data[0] == '{':
		return json.Unmarshal(data, &o.V)
	case len(data) > 0 && data[0] == '[':
		var list []json.RawMessage
		if err := json.Unmarshal(data, &list); err != nil || len(list) == 0 {
			return err
		}
		return o.UnmarshalJSON(list[0])
	}
	return nil
}

// moment is a time, zero when not told.
type moment struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (m *moment) UnmarshalJSON(data []byte) error {
	m.Time = time.Time{}
	var s text
	_ = s.UnmarshalJSON(data)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, string(s)); err == nil {
			m.Time = t.UTC()
			break
		}
	}
	return nil
}
