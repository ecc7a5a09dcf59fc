package schema

import "strings"

// didYouMean returns a remedy for an unknown field that resembles a known one, or "".
func didYouMean(name string, fields []Field) string {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].Name
	}
	if best := closest(name, names); best != "" {
		return "did you mean " + best + "?"
	}
	return ""
}

// closest returns the name most like the given one, if one is alike; of equals the first.
func closest(name string, names []string) string {
	const longest = 64
	if len(name) > longest {
		return ""
	}
	name = strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	best, bestDistance := "", max(1, len(name)/3)+1
	for _, n := range names {
		if d := distance(name, strings.ToLower(strings.ReplaceAll(n, "-", "_"))); d < bestDistance && len(n) <= longest {
			best, bestDistance = n, d
		}
	}
	return best
}

// distance is the number of insertions, deletions, replacements and swaps of neighbours between two short strings.
func distance(a, b string) int {
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
