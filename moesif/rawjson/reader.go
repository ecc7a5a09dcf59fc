package rawjson

// A Reader reads one JSON value in one pass, from its start to its end, and takes what Readable takes. Where most of a
// value is wanted it costs less than Members and Elements, which go over what is inside once per level. Whether it was
// JSON at all is known at the end: what was read of a value that is not Whole must not be used. Of members and elements
// that nobody reads only the end is looked for.
type Reader[T Text] struct {
	scanner[T]
	failed bool
}

// NewReader returns a reader of v, whose value comes next.
func NewReader[T Text](v T) *Reader[T] {
	return &Reader[T]{scanner: scanner[T]{in: v, maxDepth: maxForeignDepth}}
}

// Whole reports whether the value has been read and nothing was wrong with it, or follows it.
func (r *Reader[T]) Whole() bool { return !r.failed && r.at > 0 && r.peek() == 0 && r.at == len(r.in) }

// Next returns the byte that the next value begins with, 0 when there is none.
func (r *Reader[T]) Next() byte {
	if r.failed {
		return 0
	}
	return r.peek()
}

// Value reads the next value and returns its text.
func (r *Reader[T]) Value() T {
	c := r.Next()
	start := r.at
	if r.failed || !r.valueOf(c) {
		r.failed = true
		return r.in[:0]
	}
	return r.in[start:r.at]
}

// Text reads the next value and returns it decoded, "" if it is no text.
func (r *Reader[T]) Text() string {
	if r.Next() == '"' {
		return r.decoded()
	}
	r.Value()
	return ""
}

// decoded reads a string, whose opening quote is next.
func (r *Reader[T]) decoded() string {
	start := r.at
	if !r.text() {
		r.failed = true
		return ""
	}
	if r.simple {
		return string(r.in[start+1 : r.at-1])
	}
	return Unquote(r.in[start:r.at])
}

// Members reads the next value. If it is an object, f is called with the name, decoded, of each member, and may read
// the member's value, once.
func (r *Reader[T]) Members(f func(name string)) {
	if r.Next() != '{' {
		r.Value()
		return
	}
	r.enter()
	for first := true; r.another('}', first); first = false {
		if r.in[r.at] != '"' {
			r.failed = true
			return
		}
		name := r.decoded()
		if r.Next() != ':' {
			r.failed = true
			return
		}
		r.at++
		r.peek() // so that it shows whether f reads
		start := r.at
		if f(name); r.at == start {
			r.skip()
		}
	}
}

// Elements reads the next value. If it is an array, f is called for each element, and may read it, once.
func (r *Reader[T]) Elements(f func()) {
	if r.Next() != '[' {
		r.Value()
		return
	}
	r.enter()
	for first := true; r.another(']', first); first = false {
		start := r.at
		if f(); r.at == start {
			r.skip()
		}
	}
}

// skip steps over the value that is next. If it has no end, what it is inside of has none either.
func (r *Reader[T]) skip() {
	start := r.at
	if r.failed {
		return
	}
	r.at = ValueEnd(r.in, r.at)
	r.failed = r.at == start
}

// another steps over what separates two members or elements, or over the bracket behind the last, and reports which.
// After true a byte comes that is no white space.
func (r *Reader[T]) another(end byte, first bool) bool {
	switch c := r.Next(); {
	case c == end:
		r.leave()
		return false
	case first && c != 0:
		return true
	case c == ',':
		r.at++
		if r.peek() != 0 {
			return true
		}
	}
	r.failed = true
	return false
}
