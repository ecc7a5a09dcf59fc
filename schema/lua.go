package schema

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxLua is the most that a control plane takes of a schema.lua, in bytes.
const maxLua = 8192

// Lua returns the schema.lua that a Konnect control plane takes under the given name: plain Lua 5.1 without require,
// functions or descriptions. It declares what the dump declares.
//
// A schema that does not fit, a name that a control plane refuses, and what cannot be said without Kong's own Lua (null)
// are errors.
func (p Plugin) Lua(name string) ([]byte, error) {
	p.Name = name
	if err := p.Check(); err != nil {
		return nil, err
	}
	w := luaWriter{locals: make(map[luaKey]string)}
	text, err := w.file(p.table(name, false))
	if err != nil {
		return nil, err
	}
	if len(text) >= maxLua {
		return nil, fmt.Errorf("schema.lua has %d bytes, a control plane takes less than %d", len(text), maxLua)
	}
	return []byte(text), nil
}

// A luaKey identifies tables that may be one table: same role, same content.
type luaKey struct{ role, text string }

// A luaWriter writes tables and keeps repeated ones in local variables.
type luaWriter struct {
	locals map[luaKey]string
	seen   map[luaKey]*luaTable
	err    error
}

// A luaTable is what was seen of one table.
type luaTable struct {
	value any
	size  int // bytes as written, with the locals of now
	count int
}

// maxLocals keeps well below the 200 local variables of Lua.
const maxLocals = 100

// file writes the whole file; each round moves the table that saves most into a local variable.
func (w *luaWriter) file(top any) (string, error) {
	for len(w.locals) < maxLocals {
		w.seen = make(map[luaKey]*luaTable)
		if w.write(top); w.err != nil {
			return "", w.err
		}
		best, saved := luaKey{}, 0
		name := luaLocal(len(w.locals))
		for key, t := range w.seen {
			s := (t.count-1)*t.size - t.count*len(name) - len("local =\n") - len(name)
			if t.count > 1 && (s > saved || s == saved && saved > 0 && key.text < best.text) {
				best, saved = key, s
			}
		}
		if saved <= 0 {
			break
		}
		w.locals[best] = name
	}
	for i, key := range w.order() {
		w.locals[key] = luaLocal(i)
	}
	return w.write(top), w.err
}

// order returns the tables in local variables as they must be defined: a table is longer than those in it.
func (w *luaWriter) order() []luaKey {
	var keys []luaKey
	for key := range w.locals {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(x, y luaKey) int {
		return cmp.Or(cmp.Compare(len(x.text), len(y.text)), strings.Compare(x.text, y.text), strings.Compare(x.role, y.role))
	})
	return keys
}

// luaLocal returns the name of the nth local variable; none is a word of Lua.
func luaLocal(n int) string {
	if n < 26 {
		return string(rune('a' + n))
	}
	return string(rune('a'+n%26)) + strconv.Itoa(n/26)
}

// write writes the local variables and the table.
func (w *luaWriter) write(top any) string {
	values := make(map[luaKey]any)
	body := w.value(top, "", values)
	var b strings.Builder
	defined := w.order()
	definitions := make([]string, len(defined))
	for i := len(defined) - 1; i >= 0; i-- { // from the outside in, so that all values are known
		key := defined[i]
		definitions[i] = "local " + w.locals[key] + "=" + w.table(values[key], key.role, values) + "\n"
	}
	for _, d := range definitions {
		b.WriteString(d)
	}
	b.WriteString("return" + body + "\n")
	return b.String()
}

// value writes a value. values receives the tables that stand in local variables.
func (w *luaWriter) value(v any, in string, values map[luaKey]any) string {
	switch v := v.(type) {
	case role:
		return w.value(v.value, v.name, values)
	case nil, Null:
		w.fail(errors.New("schema.lua cannot hold null without Kong's own Lua"))
		return "nil"
	case bool:
		return strconv.FormatBool(v)
	case string:
		return w.text(v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			w.fail(fmt.Errorf("schema.lua cannot hold %v", v))
		}
		if isWhole(v) && math.Abs(v) < 1e15 {
			return strconv.FormatFloat(v, 'f', 0, 64)
		}
		return strings.Replace(strconv.FormatFloat(v, 'g', -1, 64), "e+", "e", 1)
	}
	if mayShare(v, in) {
		key := luaKey{in, luaWriter{}.plain(v, in)}
		if name, ok := w.locals[key]; ok {
			values[key] = v
			return name
		}
		text := w.table(v, in, values)
		if t := w.seen[key]; t != nil {
			t.count++
		} else if w.seen != nil {
			w.seen[key] = &luaTable{v, len(text), 1}
		}
		return text
	}
	return w.table(v, in, values)
}

// plain writes a table without local variables: its identity.
func (w luaWriter) plain(v any, in string) string {
	return w.table(v, in, nil)
}

// mayShare reports whether Kong may be given one table in several places of this role. It changes the tables of fields
// and gives the matches of conditional checks a metatable; fields that hold records depend on where they stand.
func mayShare(v any, in string) bool {
	switch in {
	case roleData, roleElement:
		return true
	case roleFields:
		list, _ := v.([]any)
		return !slices.ContainsFunc(list, holdsRecord)
	}
	return false
}

// holdsRecord reports whether an entry of fields is a record or consists of records.
func holdsRecord(v any) bool {
	switch v := v.(type) {
	case role:
		return holdsRecord(v.value)
	case ordered:
		for _, m := range v {
			if m.key == "type" && m.value == string(Record) || holdsRecord(m.value) {
				return true
			}
		}
	}
	return false
}

func (w *luaWriter) table(v any, in string, values map[luaKey]any) string {
	var parts []string
	switch v := v.(type) {
	case ordered:
		for _, m := range v {
			parts = append(parts, w.key(m.key)+"="+w.value(m.value, "", values))
		}
	case map[string]any:
		for _, key := range sortedKeys(v) {
			parts = append(parts, w.key(key)+"="+w.value(v[key], in, values))
		}
	case []any:
		for _, e := range v {
			inner := in
			if in == roleFields || in == roleTopLevel || in == roleChecks {
				inner = "" // an entry of the list, not the list
			}
			parts = append(parts, w.value(e, inner, values))
		}
	default:
		w.fail(fmt.Errorf("schema.lua cannot hold a %T", v))
	}
	if (in == roleFields || in == roleTopLevel) && len(parts) > 0 {
		return "{\n" + strings.Join(parts, ",\n") + "}"
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (w *luaWriter) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// key writes the key of a table.
func (w *luaWriter) key(s string) string {
	if isLuaName(s) {
		return s
	}
	return "[" + w.text(s) + "]"
}

// isLuaName reports whether s can stand for a key as it is.
func isLuaName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && !isLetter(c) && (i == 0 || !isDigit(c)) {
			return false
		}
	}
	switch s {
	case "", "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil",
		"not", "or", "repeat", "return", "then", "true", "until", "while":
		return false
	}
	return true
}

// text writes a string of Lua.
func (w *luaWriter) text(s string) string {
	if !utf8.ValidString(s) {
		w.fail(errors.New("schema.lua cannot hold text that is not UTF-8"))
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
