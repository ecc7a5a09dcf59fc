package datakit

import "fmt"

// inputs gathers what flows into a step.
func (f *flow) inputs(i int) (values, error) {
	s := f.plan.steps[i]
	if len(s.links) == 0 {
		return nil, nil
	}
	in := make(values, 0, len(s.links))
	for _, l := range s.links {
		v, err := convert(f.value(l), l.typ)
		if err != nil {
			return nil, fmt.Errorf("invalid connection %s: %w", l, err)
		}
		if l.in == self && s.spread {
			m, isMap := v.(map[string]any)
			if v != nil && !isMap {
				return nil, fmt.Errorf("invalid connection %s: expected object, got %s", l, nameOf(v))
			}
			if in, err = f.spread(s, l, m, in); err != nil {
				return nil, err
			}
			continue
		}
		in = append(in, portValue{l.in, v})
	}
	return in, nil
}

// spread puts the members of an object into the inputs of their names.
func (f *flow) spread(s *step, l *link, m map[string]any, in values) (values, error) {
	for _, p := range s.ins {
		v, ok := m[p.name]
		if !ok {
			continue
		}
		v, err := convert(v, p.typ)
		if err != nil {
			return nil, fmt.Errorf("invalid connection %s: %s: %w", l, p.name, err)
		}
		in = append(in, portValue{p.name, v})
	}
	return in, nil
}

// value is what a link carries.
func (f *flow) value(l *link) any {
	source, at := f.plan.steps[l.from], f.steps[l.from]
	if at.status != complete {
		return nil
	}
	var v any
	switch {
	case source.whole || l.out != self:
		v = at.out.get(l.out)
	default:
		all := make(map[string]any, len(source.hasOut))
		for _, name := range source.hasOut {
			all[name] = at.out.get(name)
		}
		v = all
	}
	if len(l.path) == 0 {
		return v
	}
	return follow(v, l.path, source.headers && l.out == "headers")
}
