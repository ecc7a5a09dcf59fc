package rawjson

// A Reader reads one JSON value in one pass, from its start to its end, and takes what Readable takes. Where most of a
// value is wanted it costs less than Members and Elements, which go over what is inside once per level. Whether it was
// JSON at all is known at the end: what was read of a value that is not Whole must not be used.
type Reader[T Text] struct {
	scanner[T]
	failed bool
}

// NewReader returns a reader of v, whose value comes next.
func NewReader[T Text](v T) *Reader[T] {
	r := &Reader[T]{scanner: scanner[T]{in: v, maxDepth: maxForeignDepth}}
	r.space()
	return r
}

// Whole reports whether the value has been read and nothing was wrong with it, or follows it.
func (r *Reader[T]) Whole() bool {
	r.space()
	return !r.failed && r.at > 0 && r.at == len(r.in)
}

// Next returns the byte that the next value begins with, 0 when there is none.
func (r *Reader[T]) Next() byte {
	if r.failed || r.at >= len(r.in) {
		return 0
	}
	return r.in[r.at]
}

// Value reads the next value and returns its text.
func (r *Reader[T]) Value() T {
	start := r.at
	if r.failed || !r.value() {
		r.failed = true
		return r.in[:0]
	}
	return r.in[start:r.at]
}

// Members reads the next value. If it is an object, f is called with the name, decoded, of each member, and may read
// the member's value, once.
func (r *Reader[T]) Members(f func(name string)) {
	if r.Next() != '{' {
		r.Value()
		return
	}
	r.inside('}', func() bool {
		if r.Next() != '"' {
			return false
		}
		name := r.Value()
		r.space()
		if !r.take(':') {
			return false
		}
		r.space()
		start := r.at
		if f(Unquote(name)); r.at == start {
			r.Value()
		}
		return true
	})
}

// Elements reads the next value. If it is an array, f is called for each element, and may read it, once.
func (r *Reader[T]) Elements(f func()) {
	if r.Next() != '[' {
		r.Value()
		return
	}
	r.inside(']', func() bool {
		start := r.at
		if f(); r.at == start {
			r.Value()
		}
		return true
	})
}

// inside reads what is between the brackets of an object or array, each part by a call of f.
func (r *Reader[T]) inside(end byte, f func() bool) {
	r.at++
	r.depth++
	r.space()
	if !r.take(end) {
		for f() && !r.failed {
			r.space()
			if r.take(end) {
				r.depth--
				return
			}
			if !r.take(',') {
				break
			}
			r.space()
		}
		r.failed = true
	}
	r.depth--
}
