package kongdev

import (
	"slices"
	"sync"

	"kong-go-plugins/internal/kongdev/header"
	"kong-go-plugins/internal/kongdev/lua"
)

// A fieldWriter is told the fields of an object, in the order of their names,
// which need no escapes. One prints them as they come, one keeps them as a table.
type fieldWriter interface {
	text(name, v string)
	number(name string, v float64)
	flag(name string, v bool)
	value(name string, v lua.Value)     // no field when v is nil
	headers(name string, l header.List) // nginx-Lua's view of all of them: a repeated one is a list

	// What is told between open and close is in an object of its own, between
	// openList and closeList in a list, whose elements have no names.
	open(name string)
	close()
	openList(name string)
	closeList()

	// once is an object that never changes: write may be called for it only the
	// first time.
	once(name string, of any, write func(fieldWriter))
}

// tableOf is the table of the fields that write tells.
func tableOf(write func(fieldWriter)) *lua.Table {
	t := lua.NewFields(map[string]lua.Value{})
	write(&tableWriter{t: t})
	return t
}

// A tableWriter puts fields into a table.
type tableWriter struct {
	t       *lua.Table
	outside []*lua.Table // those that t is in
}

func (w *tableWriter) text(name, v string)                { w.value(name, v) }
func (w *tableWriter) number(name string, v float64)      { w.value(name, v) }
func (w *tableWriter) flag(name string, v bool)           { w.value(name, v) }
func (w *tableWriter) headers(name string, l header.List) { w.value(name, l.Table(len(l))) }
func (w *tableWriter) open(name string)                   { w.enter(name, lua.NewFields(map[string]lua.Value{})) }
func (w *tableWriter) openList(name string)               { w.enter(name, lua.NewList()) }
func (w *tableWriter) closeList()                         { w.close() }

func (w *tableWriter) value(name string, v lua.Value) {
	switch {
	case v == nil:
	case w.t.Array:
		w.t.List = append(w.t.List, v)
	default:
		w.t.Fields[name] = v
	}
}

func (w *tableWriter) enter(name string, t *lua.Table) {
	w.value(name, t)
	w.t, w.outside = t, append(w.outside, w.t)
}

func (w *tableWriter) close() {
	last := len(w.outside) - 1
	w.t, w.outside = w.outside[last], w.outside[:last]
}

func (w *tableWriter) once(name string, _ any, write func(fieldWriter)) {
	w.open(name)
	write(w)
	w.close()
}

// A jsonPrinter prints fields as lua.AppendJSON prints a table of them, without
// making one. It is an object's inside that it prints; its user adds the braces.
type jsonPrinter struct {
	out     []byte
	printed *sync.Map // what once was told, by what it is of
}

// name begins a field or an element.
func (p *jsonPrinter) name(name string) {
	if n := len(p.out); n > 0 && p.out[n-1] != '{' && p.out[n-1] != '[' {
		p.out = append(p.out, ',')
	}
	if name != "" {
		p.out = append(p.out, '"')
		p.out = append(p.out, name...)
		p.out = append(p.out, '"', ':')
	}
}

func (p *jsonPrinter) text(name, v string) {
	p.name(name)
	p.out = lua.AppendJSONString(p.out, v)
}

func (p *jsonPrinter) number(name string, v float64) {
	p.name(name)
	p.out = lua.AppendJSONNumber(p.out, v)
}

func (p *jsonPrinter) flag(name string, v bool) { p.value(name, v) }

func (p *jsonPrinter) value(name string, v lua.Value) {
	if v != nil {
		p.name(name)
		p.out = lua.AppendJSON(p.out, v)
	}
}

func (p *jsonPrinter) headers(name string, l header.List) {
	p.open(name)
	for i := range l {
		named := func(h header.Line) bool { return h.Key == l[i].Key }
		if slices.ContainsFunc(l[:i], named) {
			continue
		}
		p.name("")
		p.out = append(lua.AppendJSONString(p.out, l[i].Key), ':')
		if !slices.ContainsFunc(l[i+1:], named) {
			p.out = lua.AppendJSONString(p.out, l[i].Value)
		} else {
			p.out = lua.AppendJSON(p.out, l.Values(l[i].Key))
		}
	}
	p.close()
}

func (p *jsonPrinter) open(name string) {
	p.name(name)
	p.out = append(p.out, '{')
}

func (p *jsonPrinter) openList(name string) {
	p.name(name)
	p.out = append(p.out, '[')
}

func (p *jsonPrinter) close()     { p.out = append(p.out, '}') }
func (p *jsonPrinter) closeList() { p.out = append(p.out, ']') }

func (p *jsonPrinter) once(name string, of any, write func(fieldWriter)) {
	text, ok := p.printed.Load(of)
	if !ok {
		inside := &jsonPrinter{printed: p.printed}
		write(inside)
		text, _ = p.printed.LoadOrStore(of, inside.out)
	}
	p.open(name)
	p.out = append(p.out, text.([]byte)...)
	p.close()
}
