package declarative

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxProblems bounds how many mistakes of one file are kept.
const maxProblems = 100

// A Problem is one mistake in a configuration file. Line counts from 1; 0
// means the file as a whole.
type Problem struct {
	File  string
	Line  int
	Field string // path to the value, like services[0].routes[1].paths
	Text  string
}

func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Field != "" {
		b.WriteString(": " + p.Field)
	}
	b.WriteString(": " + p.Text)
	return b.String()
}

// Problems is the error of a configuration with mistakes, in the order of
// the file. Its text has one line for each.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// orNil is the sorted list as an error, nil when it is empty.
func (p Problems) orNil() error {
	if len(p) == 0 {
		return nil
	}
	slices.SortStableFunc(p, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return p
}

// DidYouMean is " (did you mean "x"?)" for the known word nearest to word, ""
// when none is near.
func DidYouMean(word string, known []string) string {
	best, at := len(word)/3+1, ""
	if len(word) > 64 {
		return ""
	}
	for _, k := range known {
		d := editDistance(strings.ToLower(strings.ReplaceAll(word, "-", "_")), strings.ReplaceAll(k, "-", "_"))
		if d <= best && (at == "" || d < best) {
			best, at = d, k
		}
	}
	if at == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", at)
}

// editDistance is how many letters must be inserted, dropped, replaced or
// swapped with their neighbour to turn a into b.
func editDistance(a, b string) int {
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, prev, row = prev, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
