package datakit

// closest returns the name that is nearly the same, or "".
func closest(name string, names []string) string {
	best, limit := "", len(name)/3 // so that short names have none
	for _, n := range names {
		if n == name || limit == 0 || len(n) > len(name)+limit || len(name) > len(n)+limit {
			continue
		}
		if d := distance(name, n); d <= limit {
			best, limit = n, d-1
		}
	}
	return best
}

// distance counts the letters to add, drop or change until a is b, without regard to their case.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i]|0x20 == b[j]|0x20 {
				cost = 0
			}
			before, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, before+cost)
		}
	}
	return row[len(b)]
}
