package template

import (
	"fmt"
	"reflect"
)

// function calls f with the arguments.
func (c call) function(name string, f any) (reflect.Value, error) {
	x, at := c.x, c.x.node
	if name == "and" || name == "or" {
		return c.shortcut(name == "or")
	}
	fn := reflect.ValueOf(f)
	t := fn.Type()
	n := len(c.args)
	if c.piped {
		n++
	}
	switch least := t.NumIn() - 1; {
	case t.IsVariadic() && n < least:
		return fn, x.errorf("wrong number of args for %s: want at least %d got %d", name, least, n)
	case !t.IsVariadic() && n != t.NumIn():
		return fn, x.errorf("wrong number of args for %s: want %d got %d", name, t.NumIn(), n)
	}
	var in []reflect.Value
	for i := range n {
		v := c.last
		if i < len(c.args) {
			var err error
			if v, err = x.operand(c.dot, c.args[i]); err != nil {
				return v, err
			}
			x.node = c.args[i]
		}
		want := t.In(min(i, t.NumIn()-1))
		if t.IsVariadic() && i >= t.NumIn()-1 {
			want = want.Elem()
		}
		v, err := fit(v, want)
		if err != nil {
			return v, x.errorf("%s: %w", name, err)
		}
		in = append(in, v)
	}
	x.node = at
	out := fn.Call(in)
	if len(out) == 2 && !out[1].IsNil() {
		err, _ := out[1].Interface().(error)
		return out[0], x.errorf("error calling %s: %w", name, err)
	}
	if v, ok := out[0].Interface().(reflect.Value); ok && out[0].Type() == t.Out(0) && t.Out(0) == reflect.TypeFor[reflect.Value]() {
		return v, nil
	}
	return out[0], nil
}

// shortcut is and and or: the first value that decides, the others unasked.
func (c call) shortcut(is bool) (v reflect.Value, err error) {
	for _, a := range c.args {
		if v, err = c.x.operand(c.dot, a); err != nil || truth(v) == is {
			return v, err
		}
	}
	if c.piped {
		return c.last, nil
	}
	if len(c.args) == 0 {
		return v, c.x.errorf("wrong number of args: want at least 1 got 0")
	}
	return v, nil
}

// fit makes an argument of the type that a function wants.
func fit(v reflect.Value, want reflect.Type) (reflect.Value, error) {
	if want == reflect.TypeFor[reflect.Value]() {
		return reflect.ValueOf(v), nil
	}
	if !v.IsValid() {
		if want.Kind() == reflect.Interface || want.Kind() == reflect.Pointer {
			return reflect.Zero(want), nil
		}
		return v, fmt.Errorf("no value; expected %s", want)
	}
	if v.Type().AssignableTo(want) {
		return v, nil
	}
	inner := value(v)
	switch {
	case !inner.IsValid():
		return v, fmt.Errorf("no value; expected %s", want)
	case inner.Type().AssignableTo(want):
		return inner, nil
	case inner.CanInt() && number(want) && !overflows(inner, want):
		return inner.Convert(want), nil
	}
	return v, fmt.Errorf("wrong type: expected %s; found %s", want, inner.Type())
}

func number(t reflect.Type) bool {
	return t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64 && t.Kind() != reflect.Uintptr
}

// overflows is whether an integer is not itself any more in another type.
func overflows(v reflect.Value, t reflect.Type) bool {
	z := reflect.Zero(t)
	switch {
	case z.CanInt():
		return z.OverflowInt(v.Int())
	case z.CanUint():
		return v.Int() < 0 || z.OverflowUint(uint64(v.Int()))
	}
	return false
}
