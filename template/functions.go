package template

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"reflect"
	gotemplate "text/template"
)

// functions are the language's own. And and or are here for the parser to
// know; call.shortcut is what they do.
func functions() map[string]any {
	return map[string]any{
		"and": true, "or": true, // not called
		"not":      func(v reflect.Value) bool { return !truth(v) },
		"len":      length,
		"index":    index,
		"slice":    slice,
		"print":    fmt.Sprint,
		"printf":   fmt.Sprintf,
		"println":  fmt.Sprintln,
		"html":     gotemplate.HTMLEscaper,
		"js":       gotemplate.JSEscaper,
		"urlquery": gotemplate.URLQueryEscaper,
		"eq":       equalAny,
		"ne":       func(a, b reflect.Value) (bool, error) { is, err := equal(a, b); return !is, err },
		"lt":       func(a, b reflect.Value) (bool, error) { n, err := compare(a, b); return n < 0, err },
		"le":       func(a, b reflect.Value) (bool, error) { n, err := compare(a, b); return n <= 0, err },
		"gt":       func(a, b reflect.Value) (bool, error) { n, err := compare(a, b); return n > 0, err },
		"ge":       func(a, b reflect.Value) (bool, error) { n, err := compare(a, b); return n >= 0, err },
	}
}

var errIncomparable = errors.New("incompatible types for comparison")

func length(v reflect.Value) (int, error) {
	v = value(v)
	if !v.IsValid() {
		return 0, errors.New("len of nil pointer")
	}
	switch v.Kind() {
	case reflect.Array, reflect.Slice, reflect.Map, reflect.String:
		return v.Len(), nil
	}
	return 0, fmt.Errorf("len of type %s", v.Type())
}

// index is v[i][j]…; a key that a map does not have is the zero value.
func index(v reflect.Value, at ...reflect.Value) (reflect.Value, error) {
	for _, i := range at {
		v, i = value(v), value(i)
		if !v.IsValid() {
			return v, errors.New("index of untyped nil")
		}
		switch v.Kind() {
		case reflect.Array, reflect.Slice, reflect.String:
			n, err := position(i, v.Len()-1)
			if err != nil {
				return v, err
			}
			v = v.Index(n)
		case reflect.Map:
			key, err := fit(i, v.Type().Key())
			if err != nil {
				return v, err
			}
			if found := v.MapIndex(key); found.IsValid() {
				v = found
			} else {
				v = reflect.Zero(v.Type().Elem())
			}
		default:
			return v, fmt.Errorf("can't index item of type %s", v.Type())
		}
	}
	return v, nil
}

// position is an index of 0 to most.
func position(i reflect.Value, most int) (int, error) {
	switch {
	case !i.IsValid():
		return 0, errors.New("cannot index slice/array with nil")
	case i.CanUint() && i.Uint() <= math.MaxInt32 && int(i.Uint()) <= most:
		return int(i.Uint()), nil
	case i.CanInt() && i.Int() >= 0 && i.Int() <= int64(most):
		return int(i.Int()), nil
	case i.CanInt() || i.CanUint():
		return 0, fmt.Errorf("index out of range: %v", i.Interface())
	}
	return 0, fmt.Errorf("cannot index slice/array with type %s", i.Type())
}

// slice is v[i:j].
func slice(v reflect.Value, at ...reflect.Value) (reflect.Value, error) {
	v = value(v)
	if !v.IsValid() || v.Kind() != reflect.Slice && v.Kind() != reflect.String {
		return v, errors.New("can't slice what is no list and no text")
	}
	if len(at) > 2 {
		return v, fmt.Errorf("too many slice indexes: %d", len(at))
	}
	from, to := 0, v.Len()
	var err error
	if len(at) > 1 {
		if to, err = position(value(at[1]), to); err != nil {
			return v, err
		}
	}
	if len(at) > 0 {
		if from, err = position(value(at[0]), to); err != nil {
			return v, err
		}
	}
	return v.Slice(from, to), nil
}

func equalAny(a, first reflect.Value, others ...reflect.Value) (bool, error) {
	for _, b := range append([]reflect.Value{first}, others...) {
		if is, err := equal(a, b); err != nil || is {
			return is, err
		}
	}
	return false, nil
}

func equal(a, b reflect.Value) (bool, error) {
	a, b = value(a), value(b)
	if !a.IsValid() || !b.IsValid() {
		return a.IsValid() == b.IsValid(), nil
	}
	if a.Kind() == reflect.Bool && b.Kind() == reflect.Bool {
		return a.Bool() == b.Bool(), nil
	}
	if n, err := compare(a, b); err == nil {
		return n == 0, nil
	}
	if a.Type() != b.Type() || !a.Comparable() || !b.Comparable() {
		return false, errIncomparable
	}
	return a.Interface() == b.Interface(), nil
}

// compare orders numbers and texts.
func compare(a, b reflect.Value) (int, error) {
	a, b = value(a), value(b)
	switch {
	case !a.IsValid() || !b.IsValid():
	case a.Kind() == reflect.String && b.Kind() == reflect.String:
		return cmp.Compare(a.String(), b.String()), nil
	case a.CanInt() && b.CanInt():
		return cmp.Compare(a.Int(), b.Int()), nil
	case a.CanUint() && b.CanUint():
		return cmp.Compare(a.Uint(), b.Uint()), nil
	case a.CanFloat() && b.CanFloat():
		return cmp.Compare(a.Float(), b.Float()), nil
	case a.CanInt() && b.CanUint():
		if a.Int() < 0 {
			return -1, nil
		}
		return cmp.Compare(uint64(a.Int()), b.Uint()), nil
	case a.CanUint() && b.CanInt():
		n, err := compare(b, a)
		return -n, err
	}
	return 0, errIncomparable
}
