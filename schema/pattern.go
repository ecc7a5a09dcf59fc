package schema

import "errors"

// Bounds of a match. Kong's own matcher knows only the first; a pattern that needs more steps stalls it.
const (
	maxPatternDepth = 200
	maxPatternSteps = 1_000_000
	maxCaptures     = 32
)

var (
	errPattern    = errors.New("malformed pattern")
	errPatternBig = errors.New("pattern too complex for this value")
)

// matchLua reports whether the Lua 5.1 pattern p is found in s. Lua patterns are no regular expressions: see section
// 5.4.1 of the Lua 5.1 reference manual.
func matchLua(p, s string) (bool, error) {
	m := matcher{p: p, s: s}
	start := 0
	if p != "" && p[0] == '^' {
		start = 1
	}
	for i := 0; i <= len(s); i++ {
		m.level = 0
		if m.match(i, start, 0) >= 0 {
			for _, c := range m.captures[:m.level] {
				if c.length == captureOpen {
					return false, errPattern
				}
			}
			return m.err == nil, m.err
		}
		if m.err != nil {
			return false, m.err
		}
		if start == 1 {
			break
		}
	}
	return false, nil
}

// checkPattern reports whether p is a pattern that Lua takes. It matches it with texts that reach its parts as far as
// that is possible without knowing them; what they do not reach is read for its form.
func checkPattern(p string) error {
	m := matcher{p: p}
	open := []int{}
	for i := 0; i < len(p); {
		switch {
		case p[i] == '(':
			open = append(open, i)
			if len(open) > maxCaptures {
				return errPattern
			}
			i++
		case p[i] == ')':
			if len(open) == 0 {
				return errPattern
			}
			open = open[:len(open)-1]
			i++
		case p[i] == '%' && i+1 < len(p) && p[i+1] == 'b':
			if i+3 >= len(p) {
				return errPattern
			}
			i += 4
		case p[i] == '%' && i+1 < len(p) && p[i+1] == 'f':
			if i+2 >= len(p) || p[i+2] != '[' {
				return errPattern
			}
			i += 2
		default:
			i = m.classEnd(i)
			if m.err != nil {
				return m.err
			}
		}
	}
	if len(open) > 0 {
		return errPattern
	}
	return nil
}

// A capture is a part of the subject; its length is -1 while it is open and -2 for a position.
type capture struct{ start, length int }

const (
	captureOpen     = -1
	capturePosition = -2
)

// A matcher holds the state of one match. Positions are indexes; -1 means no match.
type matcher struct {
	p, s     string
	level    int
	captures [maxCaptures]capture
	steps    int
	err      error
}

func (m *matcher) fail(err error) int {
	if m.err == nil {
		m.err = err
	}
	return -1
}

// match matches the pattern from index p at index s of the subject and returns where it ends.
func (m *matcher) match(s, p, depth int) int {
	if depth > maxPatternDepth {
		return m.fail(errPatternBig)
	}
	for {
		if m.steps++; m.steps > maxPatternSteps {
			return m.fail(errPatternBig)
		}
		if m.err != nil {
			return -1
		}
		if p == len(m.p) {
			return s
		}
		switch {
		case m.p[p] == '(':
			return m.open(s, p, depth)
		case m.p[p] == ')':
			return m.close(s, p+1, depth)
		case m.p[p] == '$' && p+1 == len(m.p):
			if s == len(m.s) {
				return s
			}
			return -1
		case m.p[p] == '%' && p+1 < len(m.p) && m.p[p+1] == 'b':
			if s = m.balance(s, p+2); s < 0 {
				return -1
			}
			p += 4
			continue
		case m.p[p] == '%' && p+1 < len(m.p) && m.p[p+1] == 'f':
			end := m.frontier(s, p+2)
			if end < 0 {
				return -1
			}
			p = end
			continue
		case m.p[p] == '%' && p+1 < len(m.p) && isDigit(m.p[p+1]):
			if s = m.backReference(s, m.p[p+1]); s < 0 {
				return -1
			}
			p += 2
			continue
		}
		end := m.classEnd(p)
		if m.err != nil {
			return -1
		}
		var suffix byte
		if end < len(m.p) {
			suffix = m.p[end]
		}
		switch suffix {
		case '?':
			if m.single(s, p, end) {
				if r := m.match(s+1, end+1, depth+1); r >= 0 {
					return r
				}
			}
			p = end + 1
		case '*', '+':
			if suffix == '+' && !m.single(s, p, end) {
				return -1
			}
			return m.expand(s, p, end, suffix == '+', depth)
		case '-':
			return m.expandLeast(s, p, end, depth)
		default:
			if !m.single(s, p, end) {
				return -1
			}
			s, p = s+1, end
		}
	}
}

func (m *matcher) open(s, p, depth int) int {
	c := capture{s, captureOpen}
	p++
	if p < len(m.p) && m.p[p] == ')' {
		c.length, p = capturePosition, p+1
	}
	if m.level >= maxCaptures {
		return m.fail(errPatternBig)
	}
	m.captures[m.level] = c
	m.level++
	r := m.match(s, p, depth+1)
	if r < 0 {
		m.level--
	}
	return r
}

func (m *matcher) close(s, p, depth int) int {
	for l := m.level - 1; l >= 0; l-- {
		if m.captures[l].length == captureOpen {
			m.captures[l].length = s - m.captures[l].start
			r := m.match(s, p, depth+1)
			if r < 0 {
				m.captures[l].length = captureOpen
			}
			return r
		}
	}
	return m.fail(errPattern)
}

// balance matches %bxy.
func (m *matcher) balance(s, p int) int {
	if p+1 >= len(m.p) {
		return m.fail(errPattern)
	}
	if s >= len(m.s) || m.s[s] != m.p[p] {
		return -1
	}
	open := 1
	for i := s + 1; i < len(m.s); i++ {
		m.steps++
		switch m.s[i] {
		case m.p[p+1]:
			if open--; open == 0 {
				return i + 1
			}
		case m.p[p]:
			open++
		}
	}
	return -1
}

// frontier matches %f[set] and returns where the set ends in the pattern.
func (m *matcher) frontier(s, p int) int {
	if p >= len(m.p) || m.p[p] != '[' {
		return m.fail(errPattern)
	}
	end := m.classEnd(p)
	if m.err != nil {
		return -1
	}
	var before, at byte
	if s > 0 {
		before = m.s[s-1]
	}
	if s < len(m.s) {
		at = m.s[s]
	}
	if m.set(before, p, end-1) || !m.set(at, p, end-1) {
		return -1
	}
	return end
}

func (m *matcher) backReference(s int, digit byte) int {
	l := int(digit) - '1'
	if l < 0 || l >= m.level || m.captures[l].length == captureOpen {
		return m.fail(errPattern)
	}
	c := m.captures[l]
	if c.length < 0 { // a position has no text
		return -1
	}
	m.steps += c.length
	if len(m.s)-s < c.length || m.s[s:s+c.length] != m.s[c.start:c.start+c.length] {
		return -1
	}
	return s + c.length
}

// expand matches as many as possible.
func (m *matcher) expand(s, p, end int, one bool, depth int) int {
	n := 0
	for m.single(s+n, p, end) {
		n++
	}
	m.steps += n
	least := 0
	if one {
		least = 1
	}
	for ; n >= least; n-- {
		if r := m.match(s+n, end+1, depth+1); r >= 0 || m.err != nil {
			return r
		}
	}
	return -1
}

// expandLeast matches as few as possible.
func (m *matcher) expandLeast(s, p, end, depth int) int {
	for {
		if r := m.match(s, end+1, depth+1); r >= 0 || m.err != nil {
			return r
		}
		if !m.single(s, p, end) {
			return -1
		}
		s++
	}
}

// classEnd returns where the character class that begins at p ends.
func (m *matcher) classEnd(p int) int {
	c := m.p[p]
	p++
	switch c {
	case '%':
		if p >= len(m.p) {
			return m.fail(errPattern)
		}
		return p + 1
	case '[':
		if p < len(m.p) && m.p[p] == '^' {
			p++
		}
		for first := true; first || p >= len(m.p) || m.p[p] != ']'; first = false {
			if p >= len(m.p) {
				return m.fail(errPattern)
			}
			escape := m.p[p] == '%'
			p++
			if escape {
				if p >= len(m.p) {
					return m.fail(errPattern)
				}
				p++
			}
		}
		return p + 1
	}
	return p
}

// single reports whether the byte at s is in the class from p to end.
func (m *matcher) single(s, p, end int) bool {
	if s >= len(m.s) {
		return false
	}
	switch c := m.s[s]; m.p[p] {
	case '.':
		return true
	case '%':
		return inClass(c, m.p[p+1])
	case '[':
		return m.set(c, p, end-1)
	default:
		return m.p[p] == c
	}
}

// set reports whether c is in the set that opens at p and whose bracket closes at end.
func (m *matcher) set(c byte, p, end int) bool {
	in := true
	p++
	if m.p[p] == '^' {
		in = false
		p++
	}
	for ; p < end; p++ {
		switch {
		case m.p[p] == '%':
			p++
			if inClass(c, m.p[p]) {
				return in
			}
		case m.p[p+1] == '-' && p+2 < end:
			if m.p[p] <= c && c <= m.p[p+2] {
				return in
			}
			p += 2
		case m.p[p] == c:
			return in
		}
	}
	return !in
}

// inClass reports whether c is in the class %class, in the C locale.
func inClass(c, class byte) bool {
	upper := class >= 'A' && class <= 'Z'
	lower := class | 0x20
	if !upper && (class < 'a' || class > 'z') {
		return c == class
	}
	var in bool
	switch lower {
	case 'a':
		in = isLetter(c)
	case 'c':
		in = c < 0x20 || c == 0x7f
	case 'd':
		in = isDigit(c)
	case 'l':
		in = c >= 'a' && c <= 'z'
	case 'p':
		in = c > 0x20 && c < 0x7f && !isLetter(c) && !isDigit(c)
	case 's':
		in = c == ' ' || c >= '\t' && c <= '\r'
	case 'u':
		in = c >= 'A' && c <= 'Z'
	case 'w':
		in = isLetter(c) || isDigit(c)
	case 'x':
		in = isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f'
	case 'z':
		in = c == 0
	default:
		return c == class
	}
	return in != upper
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
