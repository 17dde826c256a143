// Package template fills templates of text and of pages. The language is that
// of Go's text/template, whose parser it uses; what it leaves out is the call
// of whatever method a value happens to have. That is what it is for: a
// program that can call methods by any name keeps every method of every type
// that it ever touches, which made cw 8 MB larger than its budget.
//
// Fields of structs, keys of maps, variables, if, range, with, break,
// continue, define, block, template and all of the language's functions but
// call work as there. Methods are those that Options names.
package template

import (
	"fmt"
	"io"
	"reflect"
	"text/template/parse"
)

// Options are what a template may use and how it writes.
type Options struct {
	// Funcs are functions beside the language's own. A second result is an
	// error, which ends the template.
	Funcs map[string]any
	// Method finds a method that templates may call, nil for none.
	Method func(v any, name string) any
	// Escape writes a value's text, as a page needs it; nil leaves texts as
	// they are. What is Trusted is not escaped.
	Escape func(text string) string
}

// Trusted is text that a page takes as it stands.
type Trusted string

// Template is one that can be filled, by several at a time.
type Template struct {
	name  string
	trees map[string]*parse.Tree
	funcs map[string]any
	o     Options
}

// Parse reads a template. Errors name the line.
func Parse(name, text string, o Options) (*Template, error) {
	t := &Template{name: name, funcs: functions(), o: o}
	for name, f := range o.Funcs {
		t.funcs[name] = f
	}
	var err error
	if t.trees, err = parse.Parse(name, text, "", "", t.funcs); err != nil {
		return nil, err
	}
	return t, nil
}

// Execute fills the template with data. Errors name line and column.
func (t *Template) Execute(w io.Writer, data any) error {
	x := &execution{t: t, w: w}
	return x.template(t.name, reflect.ValueOf(data))
}

// mostDepth is how deep templates may call each other.
const mostDepth = 1000

// execution is a template that is being filled.
type execution struct {
	t     *Template
	w     io.Writer
	tree  *parse.Tree
	node  parse.Node
	vars  []variable
	depth int
}

type variable struct {
	name  string
	value reflect.Value
}

// errorf is an error at the node that is being looked at.
func (x *execution) errorf(format string, args ...any) error {
	place, context := x.tree.ErrorContext(x.node)
	return fmt.Errorf("%s: executing %q at <%s>: %w", place, x.tree.Name, context, fmt.Errorf(format, args...))
}

// template fills one of the definitions, which sees no variable but $.
func (x *execution) template(name string, dot reflect.Value) error {
	tree := x.t.trees[name]
	switch {
	case tree == nil && x.tree == nil: // an empty text has no tree
		return nil
	case tree == nil:
		return x.errorf("template %q not defined", name)
	case x.depth == mostDepth:
		return x.errorf("templates call each other more than %d deep", mostDepth)
	}
	inner := &execution{t: x.t, w: x.w, tree: tree, node: tree.Root, vars: []variable{{"$", dot}}, depth: x.depth + 1}
	_, err := inner.walk(dot, tree.Root)
	return err
}

func (x *execution) push(name string, v reflect.Value) { x.vars = append(x.vars, variable{name, v}) }

func (x *execution) set(name string, v reflect.Value) {
	for i := len(x.vars) - 1; i >= 0; i-- {
		if x.vars[i].name == name {
			x.vars[i].value = v
			return
		}
	}
}

func (x *execution) variable(name string) (reflect.Value, error) {
	for i := len(x.vars) - 1; i >= 0; i-- {
		if x.vars[i].name == name {
			return x.vars[i].value, nil
		}
	}
	return reflect.Value{}, x.errorf("undefined variable: %s", name)
}

// print writes the value of an action.
func (x *execution) print(v reflect.Value) error {
	text := "<no value>"
	if v.IsValid() && v.Kind() == reflect.Pointer && v.IsNil() {
		text = "<nil>"
	}
	if v = value(v); v.IsValid() {
		if own, ok := v.Interface().(Trusted); ok {
			_, err := io.WriteString(x.w, string(own))
			return err
		}
		text = fmt.Sprint(v.Interface())
	}
	if x.t.o.Escape != nil {
		text = x.t.o.Escape(text)
	}
	if _, err := io.WriteString(x.w, text); err != nil {
		return x.errorf("%w", err)
	}
	return nil
}

// value is what is behind interfaces, and behind pointers to what does not
// write itself.
func value(v reflect.Value) reflect.Value {
	for v.IsValid() && (v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer) {
		if v.IsNil() {
			return reflect.Value{}
		}
		if v.Kind() == reflect.Pointer && v.CanInterface() {
			switch v.Interface().(type) {
			case fmt.Stringer, error:
				return v
			}
		}
		v = v.Elem()
	}
	return v
}
