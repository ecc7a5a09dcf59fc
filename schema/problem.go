package schema

import (
	"cmp"
	"fmt"
	"slices"
)

// A Problem is one mistake in a file.
type Problem struct {
	File  string
	Line  int    // from 1
	Field string // path, for instance "config.batch_size"; may be empty
	Text  string

	// Warning is set for what may be a mistake and cannot be judged by the file alone.
	Warning bool
}

// String returns "file:line: field: text", of a warning with that word before the field.
func (p Problem) String() string {
	place := fmt.Sprintf("%s:%d: ", p.File, p.Line)
	if p.Warning {
		place += "warning: "
	}
	if p.Field != "" {
		place += p.Field + ": "
	}
	return place + p.Text
}

// maxProblems bounds what is said of one file.
const maxProblems = 500

// sorted returns the problems by line, without repetitions (an anchor used twice is wrong once) and bounded.
func sorted(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Text, b.Text))
	})
	problems = slices.Compact(problems)
	if more := len(problems) - maxProblems; more > 0 {
		last := problems[maxProblems-1]
		problems = append(problems[:maxProblems:maxProblems], Problem{File: last.File, Line: last.Line, Text: fmt.Sprintf("and %d more problems", more)})
	}
	return problems
}
