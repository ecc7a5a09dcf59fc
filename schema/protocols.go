package schema

import "slices"

// CompleteProtocols checks the `protocols` of a plugin entity and fills their default; nil is a list that is not given.
// Fields of mistakes begin with "protocols".
func (p Plugin) CompleteProtocols(list []string) ([]string, error) {
	allowed, defaults := p.protocols()
	if list == nil {
		return slices.Clone(defaults), nil
	}
	w := walker{}
	one := make([]any, len(allowed))
	for i, name := range allowed {
		one[i] = name
	}
	f := &Field{Name: "protocols", Type: Set, Elements: &Field{Type: String, OneOf: one}}
	out := w.value("protocols", f, plain(list), false)
	if len(w.errs) > 0 {
		return nil, join(w.errs)
	}
	return stringsOf(out.([]any)), nil
}
