package template

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"text/template/parse"
)

// flow is how a part of a template ended.
type flow int

const (
	next flow = iota
	breaks
	continues
)

func (x *execution) walk(dot reflect.Value, node parse.Node) (flow, error) {
	x.node = node
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return next, nil
		}
		for _, part := range n.Nodes {
			if f, err := x.walk(dot, part); err != nil || f != next {
				return f, err
			}
		}
	case *parse.TextNode:
		if _, err := x.w.Write(n.Text); err != nil {
			return next, x.errorf("%w", err)
		}
	case *parse.ActionNode:
		v, err := x.pipeline(dot, n.Pipe)
		if err != nil || len(n.Pipe.Decl) > 0 {
			return next, err
		}
		x.node = n
		return next, x.print(v)
	case *parse.IfNode:
		return x.branch(dot, &n.BranchNode, false)
	case *parse.WithNode:
		return x.branch(dot, &n.BranchNode, true)
	case *parse.RangeNode:
		return next, x.loop(dot, n)
	case *parse.BreakNode:
		return breaks, nil
	case *parse.ContinueNode:
		return continues, nil
	case *parse.TemplateNode:
		v, err := x.pipeline(dot, n.Pipe)
		if err != nil {
			return next, err
		}
		x.node = n
		return next, x.template(n.Name, v)
	case *parse.CommentNode:
	default:
		return next, x.errorf("%s has no meaning here", node)
	}
	return next, nil
}

// branch is if and with.
func (x *execution) branch(dot reflect.Value, n *parse.BranchNode, with bool) (flow, error) {
	known := len(x.vars)
	defer func() { x.vars = x.vars[:known] }()
	v, err := x.pipeline(dot, n.Pipe)
	if err != nil {
		return next, err
	}
	switch {
	case truth(v) && with:
		return x.walk(v, n.List)
	case truth(v):
		return x.walk(dot, n.List)
	}
	return x.walk(dot, n.ElseList)
}

// truth is whether a value is not the zero of its kind.
func truth(v reflect.Value) bool {
	for v.IsValid() && v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if !v.IsValid() {
		return false
	}
	switch v.Kind() {
	case reflect.Array, reflect.Slice, reflect.Map, reflect.String:
		return v.Len() > 0
	case reflect.Struct:
		return true
	default:
		return !v.IsZero()
	}
}

// loop is range.
func (x *execution) loop(dot reflect.Value, n *parse.RangeNode) error {
	known := len(x.vars)
	defer func() { x.vars = x.vars[:known] }()
	over, err := x.pipeline(dot, n.Pipe)
	if err != nil {
		return err
	}
	inside := len(x.vars)
	turn := func(key, elem reflect.Value) (bool, error) {
		if d := n.Pipe.Decl; len(d) > 0 {
			last := d[len(d)-1].Ident[0]
			if x.set(last, elem); len(d) > 1 {
				x.set(d[0].Ident[0], key)
			}
		}
		f, err := x.walk(elem, n.List)
		x.vars = x.vars[:inside]
		return f != breaks && err == nil, err
	}
	if over = value(over); !over.IsValid() {
		_, err := x.walk(dot, n.ElseList)
		return err
	}
	length := 0
	var each func(int) (key, elem reflect.Value)
	switch over.Kind() {
	case reflect.Slice, reflect.Array:
		length = over.Len()
		each = func(i int) (key, elem reflect.Value) { return reflect.ValueOf(i), over.Index(i) }
	case reflect.Map:
		keys := over.MapKeys()
		slices.SortFunc(keys, order)
		length = len(keys)
		each = func(i int) (key, elem reflect.Value) { return keys[i], over.MapIndex(keys[i]) }
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		length = int(over.Int())
		each = func(i int) (key, elem reflect.Value) { v := reflect.ValueOf(i).Convert(over.Type()); return v, v }
	default:
		x.node = n
		return x.errorf("range can't iterate over a value of type %s", over.Type())
	}
	for i := range length {
		key, elem := each(i)
		if more, err := turn(key, elem); err != nil || !more {
			return err
		}
	}
	if length <= 0 {
		_, err = x.walk(dot, n.ElseList)
	}
	return err
}

// order sorts the keys of a map.
func order(a, b reflect.Value) int {
	switch {
	case a.CanInt():
		return cmp.Compare(a.Int(), b.Int())
	case a.CanUint():
		return cmp.Compare(a.Uint(), b.Uint())
	case a.CanFloat():
		return cmp.Compare(a.Float(), b.Float())
	}
	return cmp.Compare(fmt.Sprint(a.Interface()), fmt.Sprint(b.Interface()))
}
