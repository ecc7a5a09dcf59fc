package kongdev

import "slices"

// An object is a table that is made to be printed: its fields are in the order
// of their names, those that are nil are left out. Nothing can be looked up or
// changed in it before it is made a table.
type object []field

type field struct {
	name string
	v    value
}

// printed is a value that is JSON already; a table cannot be made of it.
type printed []byte

// set replaces a field that is there.
func (o object) set(name string, v value) {
	for i := range o {
		if o[i].name == name {
			o[i].v = v
		}
	}
}

// table is the object as a table, and so are all objects in it.
func (o object) table() *table {
	t := newFields(make(map[string]value, len(o)))
	for _, f := range o {
		if f.v != nil {
			t.fields[f.name] = tabled(f.v)
		}
	}
	return t
}

func tabled(v value) value {
	switch v := v.(type) {
	case object:
		return v.table()
	case *table:
		if slices.ContainsFunc(v.list, func(v value) bool { _, ok := v.(object); return ok }) {
			list := &table{fields: v.fields, array: v.array}
			for _, v := range v.list {
				list.list = append(list.list, tabled(v))
			}
			return list
		}
	}
	return v
}
