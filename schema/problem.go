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
}

// String returns "file:line: field: text".
func (p Problem) String() string {
	if p.Field == "" {
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
	}
	return fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, p.Field, p.Text)
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
