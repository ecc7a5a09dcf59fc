package convert

import (
	"regexp"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// convertProgram rewrites a program whose inputs are variables into one whose input is an object of them. $x becomes .x
// where that is sure to be the same; else the program gets a line in front that makes the variables.
func convertProgram(text string, variables []string) (string, error) {
	query, err := gojq.Parse(text)
	if err != nil {
		return text, err
	}
	used, err := freeVariables(query, variables)
	if err != nil || len(used) == 0 {
		return text, err
	}
	if atInput(query, used) {
		fields := replaceVariables(text, used)
		if q, err := gojq.Parse(fields); err == nil {
			if _, err := gojq.Compile(q); err == nil {
				return fields, nil
			}
		}
	}
	return ". as {" + strings.Join(used, ", ") + "}\n| " + text, nil
}

// freeVariables are those of the inputs' variables that a program takes from outside, with their $. Any other one is an
// error.
func freeVariables(query *gojq.Query, inputs []string) (used []string, err error) {
	names := make([]string, len(inputs))
	for i, v := range inputs {
		names[i] = "$" + v
	}
	if _, err := gojq.Compile(query, gojq.WithVariables(names)); err != nil {
		return nil, err
	}
	for i, name := range names {
		others := slices.Concat(names[:i], names[i+1:])
		if _, err := gojq.Compile(query, gojq.WithVariables(others)); err != nil && !slices.Contains(others, name) {
			used = append(used, name)
		}
	}
	return used, nil
}

// usesVariables reports whether a program needs a variable of one of these names.
func usesVariables(text string, names []string) bool {
	query, err := gojq.Parse(text)
	if err != nil {
		return slices.ContainsFunc(names, func(name string) bool { return mentions(text, "$"+name) })
	}
	used, err := freeVariables(query, names)
	return err == nil && len(used) > 0
}

func mentions(text, variable string) bool {
	return regexp.MustCompile(regexp.QuoteMeta(variable) + `(?:[^A-Za-z0-9_]|$)`).MatchString(text)
}

// atInput reports whether all variables of a program are used where . is the program's input. It knows the forms that
// programs of headers and bodies have, and says no to others.
func atInput(q *gojq.Query, variables []string) bool {
	if q == nil {
		return true
	}
	none := func(text string) bool {
		return !slices.ContainsFunc(variables, func(v string) bool { return mentions(text, v) })
	}
	switch {
	case len(q.FuncDefs) > 0 || len(q.Patterns) > 0:
		return none(q.String())
	case q.Term != nil:
		return termAtInput(q.Term, variables, none)
	case q.Op >= gojq.OpAssign: // .x can be changed, $x cannot
		return none(q.String())
	case q.Op == gojq.OpPipe:
		return atInput(q.Left, variables) && none(q.Right.String())
	}
	return atInput(q.Left, variables) && atInput(q.Right, variables)
}

func termAtInput(t *gojq.Term, variables []string, none func(string) bool) bool {
	for _, s := range t.SuffixList {
		if !none(s.String()) {
			return false
		}
	}
	switch t.Type {
	case gojq.TermTypeString:
		return len(t.Str.Queries) == 0
	case gojq.TermTypeFunc:
		return !slices.ContainsFunc(t.Func.Args, func(a *gojq.Query) bool { return !none(a.String()) })
	case gojq.TermTypeArray:
		return atInput(t.Array.Query, variables)
	case gojq.TermTypeQuery:
		return atInput(t.Query, variables)
	case gojq.TermTypeIf:
		for _, e := range t.If.Elif {
			if !atInput(e.Cond, variables) || !atInput(e.Then, variables) {
				return false
			}
		}
		return atInput(t.If.Cond, variables) && atInput(t.If.Then, variables) && atInput(t.If.Else, variables)
	case gojq.TermTypeObject:
		for _, kv := range t.Object.KeyVals {
			if !none(kv.Key) || kv.KeyString != nil && len(kv.KeyString.Queries) > 0 || !atInput(kv.KeyQuery, variables) || !atInput(kv.Val, variables) {
				return false
			}
		}
		return true
	}
	return none(t.String())
}

// replaceVariables writes .x for $x outside of strings and comments.
func replaceVariables(text string, variables []string) string {
	var b strings.Builder
	inString, inComment := false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case inComment:
			inComment = c != '\n'
		case inString:
			if c == '\\' && i+1 < len(text) {
				b.WriteByte(c)
				i++
				c = text[i]
			} else {
				inString = c != '"'
			}
		case c == '"':
			inString = true
		case c == '#':
			inComment = true
		case c == '$':
			for _, v := range variables {
				if strings.HasPrefix(text[i:], v) && mentions(text[i:min(len(text), i+len(v)+1)], v) {
					c = '.'
					break
				}
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}
