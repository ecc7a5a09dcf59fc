// Package rawjson reads and writes JSON as text: integers beyond 2^53, the order of members, duplicates and empty arrays
// survive. What reads a value takes text that Valid, Readable or Compact has accepted, and needs no errors of its own.
package rawjson

// Text is the text of a JSON value. Parts of a string are had without copying.
type Text interface{ ~string | ~[]byte }

// StringEnd returns the index behind the string that starts at v[i], or len(v) when it does not end.
func StringEnd[T Text](v T, i int) int {
	for i = quoteOrEscape(v, i+1); i < len(v); i = quoteOrEscape(v, i+2) {
		if v[i] == '"' {
			return i + 1
		}
	}
	return len(v)
}

// ValueEnd returns the index behind the value that starts at v[i].
func ValueEnd[T Text](v T, i int) int {
	if i >= len(v) {
		return i
	}
	switch v[i] {
	case '"':
		return StringEnd(v, i)
	case '{', '[':
		return nestEnd(v, i)
	}
	for i < len(v) && !ends[v[i]] {
		i++
	}
	return i
}

// nestEnd returns the index behind the object or array that starts at v[i], or len(v) when it does not end.
func nestEnd[T Text](v T, i int) int {
	depth := 0
	for i < len(v) {
		c := v[i]
		if !nests[c] {
			i++
			continue
		}
		switch c {
		case '"':
			i = StringEnd(v, i)
			continue
		case '{', '[':
			depth++
		default:
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return i
}

// ends are the bytes behind a number or a word, nests those that matter inside of an object or array.
var ends, nests = bytesOf(",}] \t\r\n"), bytesOf("\"{[}]") // read-only

func bytesOf(list string) (set [256]bool) {
	for _, c := range []byte(list) {
		set[c] = true
	}
	return set
}

// SkipSpace returns the index of the first byte at or behind i that is no white space.
func SkipSpace[T Text](v T, i int) int {
	for i < len(v) && (v[i] == ' ' || v[i] == '\t' || v[i] == '\r' || v[i] == '\n') {
		i++
	}
	return i
}

// Members calls f with the name, decoded, and the text of each member of the object v. A v that is not an object has
// none.
func Members[T Text](v T, f func(name string, value T)) {
	i := SkipSpace(v, 0)
	if i >= len(v) || v[i] != '{' {
		return
	}
	for i = SkipSpace(v, i+1); i < len(v) && v[i] == '"'; {
		end := StringEnd(v, i)
		name := v[i:end]
		i = SkipSpace(v, end)
		i = SkipSpace(v, min(i+1, len(v))) // the colon
		end = ValueEnd(v, i)
		f(Unquote(name), v[i:end])
		if i = SkipSpace(v, end); i < len(v) && v[i] == ',' {
			i = SkipSpace(v, i+1)
		}
	}
}

// Elements calls f with the text of each element of the array v. A v that is not an array has none.
func Elements[T Text](v T, f func(value T)) {
	i := SkipSpace(v, 0)
	if i >= len(v) || v[i] != '[' {
		return
	}
	for i = SkipSpace(v, i+1); i < len(v) && v[i] != ']'; {
		end := ValueEnd(v, i)
		if end == i {
			return
		}
		f(v[i:end])
		if i = SkipSpace(v, end); i < len(v) && v[i] == ',' {
			i = SkipSpace(v, i+1)
		}
	}
}

// IsString reports whether the text of a value is a string.
func IsString[T Text](v T) bool { return len(v) > 0 && v[0] == '"' }

// IsObject reports whether the text of a value is an object, white space before it tolerated.
func IsObject[T Text](v T) bool {
	i := SkipSpace(v, 0)
	return i < len(v) && v[i] == '{'
}
