package remote

import (
	"regexp"
	"regexp/syntax"
	"strings"

	"kong-go-plugins/moesif/rawjson"
)

// A verdict says whether a condition holds. Before the response is known it may be maybe. The order makes min AND, and
// max OR.
type verdict int8

const (
	no verdict = iota
	maybe
	yes
)

// The facts that conditions are about.
const (
	factNone = iota // of an unknown path: without a value
	factVerb
	factRoute
	factIP
	factHeader
	factBody
	factStatus
)

// A condition is a regular expression over one fact of a request.
type condition struct {
	fact    int
	name    string         // of the header or the body's member
	pattern *regexp.Regexp // nil never matches
}

// A match is a list of alternatives, each a list of conditions that all hold. No alternative at all is always true.
type match struct {
	always       bool
	alternatives [][]condition
}

// holds reports whether the request matches; early means that what is not known yet may come.
func (m match) holds(r *Request, early bool) verdict {
	if m.always {
		return yes
	}
	best := no
	for _, conditions := range m.alternatives {
		if best = max(best, all(conditions, r, early)); best == yes {
			return yes
		}
	}
	return best
}

func all(conditions []condition, r *Request, early bool) verdict {
	worst := yes
	for i := range conditions {
		if worst = min(worst, conditions[i].holds(r, early)); worst == no {
			return no
		}
	}
	return worst
}

func (c *condition) holds(r *Request, early bool) verdict {
	if c.pattern == nil {
		return no
	}
	if early && c.late(r) {
		return maybe
	}
	if c.fact == factBody {
		for _, value := range r.inBody(c.name) {
			if c.pattern.MatchString(value) {
				return yes
			}
		}
		return no
	}
	if value := c.value(r); value != "" && c.pattern.MatchString(value) {
		return yes
	}
	return no
}

// late reports whether the fact is not known but may come.
func (c *condition) late(r *Request) bool {
	switch c.fact {
	case factStatus:
		return r.Status == 0
	case factBody:
		return r.Body == nil && (r.ContentType == "" || ReadsBody(r.ContentType))
	default:
		return false
	}
}

// value returns the fact, "" when it has none.
func (c *condition) value(r *Request) string {
	switch c.fact {
	case factVerb:
		return r.Verb
	case factRoute:
		return r.Route
	case factIP:
		return r.IP
	case factHeader:
		if r.Header != nil {
			return r.Header(c.name)
		}
	case factStatus:
		return statusText(r.Status)
	}
	return ""
}

// statusText returns three digits without a new string for each request, "" for what is no status.
func statusText(status int) string {
	if status < 100 || status > 999 {
		return ""
	}
	return statusTexts[3*(status-100) : 3*(status-100)+3]
}

var statusTexts = func() string { // read-only
	b := make([]byte, 0, 3*900)
	for s := 100; s <= 999; s++ {
		b = append(b, byte('0'+s/100), byte('0'+s/10%10), byte('0'+s%10))
	}
	return string(b)
}()

// parsePath returns what a condition's path is about.
func parsePath(path string) (fact int, name string) {
	switch path {
	case "request.verb":
		return factVerb, ""
	case "request.route":
		return factRoute, ""
	case "request.ip_address", "request.ip":
		return factIP, ""
	case "response.status":
		return factStatus, ""
	}
	if name, ok := strings.CutPrefix(path, "request.headers."); ok && name != "" {
		return factHeader, strings.ToLower(name)
	}
	if name, ok := strings.CutPrefix(path, "request.body."); ok && name != "" {
		return factBody, name
	}
	return factNone, ""
}

const (
	maxExpression = 4096 // bytes of one regular expression

	// maxProgram is how large all expressions of one document may be once compiled, in instructions of 40 bytes: a{1000}
	// is a short text and a large program. From the one that goes beyond on, none is compiled.
	maxProgram = 1 << 20
	// maxSteps is how large one expression may be: each byte of a value can cost a step for each instruction. Only
	// repetitions of repetitions are larger.
	maxSteps = 2 * maxExpression
	// minProgram is what an expression costs at least.
	minProgram = 64
)

// A matchReader compiles the conditions of one document.
type matchReader struct {
	problems *problems
	program  int  // instructions so far
	status   bool // whether the response's status can be asked about
}

// read compiles a regex_config: missing, null and empty are always true, what cannot be read never is.
func (m *matchReader) read(v []byte, where string) match {
	switch {
	case isNull(v), isEmptyArray(v):
		return match{always: true}
	case !isArray(v):
		m.problems.add("%s: regex_config is not an array; it never matches", where)
		return match{}
	}
	var result match
	rawjson.Elements(v, func(entry []byte) {
		if conditions, ok := m.entry(entry, where); ok {
			result.alternatives = append(result.alternatives, conditions)
		}
	})
	return result
}

// entry compiles one alternative; none of its conditions may be left out.
func (m *matchReader) entry(v []byte, where string) (conditions []condition, ok bool) {
	list := member(v, "conditions")
	if !rawjson.IsObject(v) || (list != nil && !isArray(list)) {
		m.problems.add("%s: an entry of regex_config is not an object with conditions; it never matches", where)
		return nil, false
	}
	rawjson.Elements(list, func(v []byte) { conditions = append(conditions, m.condition(v, where)) })
	return conditions, true
}

func (m *matchReader) condition(v []byte, where string) condition {
	path, hasPath := text(member(v, "path"))
	value, hasValue := text(member(v, "value"))
	if !hasPath || !hasValue {
		m.problems.add("%s: a condition has no path or no value; it never holds", where)
		return condition{}
	}
	c := condition{}
	c.fact, c.name = parsePath(path)
	if c.fact == factNone || (c.fact == factStatus && !m.status) {
		m.problems.add("%s: a condition's path is unknown here; it never holds", where)
		return condition{}
	}
	c.pattern = m.compile(value, where)
	return c
}

// compile returns nil for what is not an expression of RE2, or too large.
func (m *matchReader) compile(expression, where string) *regexp.Regexp {
	if len(expression) > maxExpression || m.program > maxProgram {
		m.problems.add("%s: a regular expression is too large; it never matches", where)
		return nil
	}
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		m.problems.add("%s: a regular expression is invalid (RE2 syntax); it never matches", where)
		return nil
	}
	steps := instructions(parsed)
	m.program += max(min(steps, maxSteps), minProgram)
	if steps > maxSteps || m.program > maxProgram {
		m.problems.add("%s: a regular expression is too large; it never matches", where)
		return nil
	}
	compiled, err := regexp.Compile(expression)
	if err != nil {
		return nil
	}
	return compiled
}

// instructions returns how many instructions an expression has once compiled, about, without compiling it: the largest
// take half a gigabyte for that.
func instructions(e *syntax.Regexp) int {
	n := 1
	if e.Op == syntax.OpLiteral {
		n = len(e.Rune)
	}
	for _, sub := range e.Sub {
		n = min(n+instructions(sub), maxProgram)
	}
	if e.Op == syntax.OpRepeat {
		n *= max(e.Min+1, e.Max)
	}
	return min(n, maxProgram)
}
