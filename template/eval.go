package template

import (
	"reflect"
	"strings"
	"text/template/parse"
)

// pipeline is the value of commands, each the last argument of the next one.
func (x *execution) pipeline(dot reflect.Value, pipe *parse.PipeNode) (v reflect.Value, err error) {
	if pipe == nil {
		return v, nil
	}
	for i, cmd := range pipe.Cmds {
		x.node = cmd
		if v, err = x.command(dot, cmd, v, i > 0); err != nil {
			return v, err
		}
		if v.Kind() == reflect.Interface && v.NumMethod() == 0 {
			v = v.Elem()
		}
	}
	for _, d := range pipe.Decl {
		if pipe.IsAssign {
			x.set(d.Ident[0], v)
		} else {
			x.push(d.Ident[0], v)
		}
	}
	return v, nil
}

// command is one of a pipeline; last is the argument that comes from before.
func (x *execution) command(dot reflect.Value, cmd *parse.CommandNode, last reflect.Value, piped bool) (reflect.Value, error) {
	c := call{x: x, dot: dot, args: cmd.Args[1:], last: last, piped: piped}
	switch n := cmd.Args[0].(type) {
	case *parse.IdentifierNode:
		x.node = n
		return c.function(n.Ident, x.t.funcs[n.Ident])
	case *parse.FieldNode:
		return x.fields(dot, n, n.Ident, &c)
	case *parse.VariableNode:
		v, err := x.variable(n.Ident[0])
		if err != nil {
			return v, err
		}
		return x.fields(v, n, n.Ident[1:], &c)
	case *parse.ChainNode:
		v, err := x.operand(dot, n.Node)
		if err != nil {
			return v, err
		}
		return x.fields(v, n, n.Field, &c)
	case *parse.NilNode:
		return reflect.Value{}, x.errorf("nil is not a command")
	default:
		if len(c.args) > 0 || piped {
			return reflect.Value{}, x.errorf("can't give argument to non-function %s", n)
		}
		return x.operand(dot, n)
	}
}

// operand is the value of what stands as an argument.
func (x *execution) operand(dot reflect.Value, node parse.Node) (reflect.Value, error) {
	x.node = node
	switch n := node.(type) {
	case *parse.DotNode:
		return dot, nil
	case *parse.NilNode:
		return reflect.Value{}, nil
	case *parse.BoolNode:
		return reflect.ValueOf(n.True), nil
	case *parse.StringNode:
		return reflect.ValueOf(n.Text), nil
	case *parse.NumberNode:
		return x.number(n)
	case *parse.PipeNode:
		return x.pipeline(dot, n)
	default:
		return x.command(dot, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: node.Position(), Args: []parse.Node{node}}, reflect.Value{}, false)
	}
}

func (x *execution) number(n *parse.NumberNode) (reflect.Value, error) {
	hex := strings.HasPrefix(strings.ToLower(n.Text), "0x")
	switch {
	case n.IsComplex && !n.IsFloat && !n.IsInt && !n.IsUint:
		return reflect.ValueOf(n.Complex128), nil
	case n.IsFloat && (!n.IsInt || !hex && !strings.HasPrefix(n.Text, "'") && strings.ContainsAny(n.Text, ".eEpP")):
		if !n.IsInt && n.IsUint {
			return reflect.ValueOf(n.Uint64), nil
		}
		return reflect.ValueOf(n.Float64), nil
	case n.IsInt:
		return reflect.ValueOf(int(n.Int64)), nil
	case n.IsUint:
		return reflect.ValueOf(n.Uint64), nil
	}
	return reflect.Value{}, x.errorf("%s is no number", n.Text)
}

// fields follows names from a value; the arguments of c are the last one's.
func (x *execution) fields(v reflect.Value, node parse.Node, names []string, c *call) (reflect.Value, error) {
	if len(names) == 0 {
		if len(c.args) > 0 || c.piped {
			return v, x.errorf("can't give argument to non-function %s", node)
		}
		return v, nil
	}
	for i, name := range names {
		x.node = node
		own := c
		if i < len(names)-1 {
			own = &call{x: x, dot: c.dot}
		}
		var err error
		if v, err = x.field(v, name, own); err != nil {
			return v, err
		}
	}
	return v, nil
}

// field is a field, a key or a method of a value.
func (x *execution) field(v reflect.Value, name string, c *call) (reflect.Value, error) {
	for v.IsValid() && v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if !v.IsValid() {
		return v, x.errorf("nil data; no entry for key %q", name)
	}
	if x.t.o.Method != nil && v.CanInterface() {
		if f := x.t.o.Method(v.Interface(), name); f != nil {
			return c.function(name, f)
		}
	}
	of := v.Type()
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return v, x.errorf("nil pointer evaluating %s.%s", of, name)
		}
		v = v.Elem()
	}
	given := len(c.args) > 0 || c.piped
	switch v.Kind() {
	case reflect.Struct:
		f, ok := v.Type().FieldByName(name)
		if !ok {
			break
		}
		if !f.IsExported() {
			return v, x.errorf("%s is an unexported field of struct type %s", name, of)
		}
		if given {
			return v, x.errorf("%s has arguments but is no function", name)
		}
		out, err := v.FieldByIndexErr(f.Index)
		if err != nil {
			return v, x.errorf("%w", err)
		}
		return out, nil
	case reflect.Map:
		key := reflect.ValueOf(name)
		if !key.CanConvert(v.Type().Key()) || v.Type().Key().Kind() != reflect.String {
			break
		}
		if given {
			return v, x.errorf("%s has arguments but is no function", name)
		}
		if out := v.MapIndex(key.Convert(v.Type().Key())); out.IsValid() {
			return out, nil
		}
		return reflect.Zero(v.Type().Elem()), nil
	}
	return v, x.errorf("can't evaluate field %s in type %s", name, of)
}

// call is a call of a function with arguments that are not evaluated yet.
type call struct {
	x     *execution
	dot   reflect.Value
	args  []parse.Node
	last  reflect.Value
	piped bool
}
