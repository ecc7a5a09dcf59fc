package spool

import "slices"

// ranges is a set of numbers that grows together: everything below low, and some runs above it.
type ranges struct {
	low  uint64
	runs []run // sorted, apart from each other and from low
}

type run struct{ from, to uint64 } // to is not in it

// settle adds the numbers from from to before to.
func (r *ranges) settle(from, to uint64) {
	if to <= max(from, r.low) {
		return
	}
	if from <= r.low && len(r.runs) == 0 {
		r.low = to // the usual case
		return
	}
	i, _ := slices.BinarySearchFunc(r.runs, from, func(x run, from uint64) int {
		if x.to < from {
			return -1
		}
		return 1
	})
	j := i
	for ; j < len(r.runs) && r.runs[j].from <= to; j++ {
		from, to = min(from, r.runs[j].from), max(to, r.runs[j].to)
	}
	r.runs = slices.Replace(r.runs, i, j, run{from, to})
	if r.runs[0].from <= r.low {
		r.low = r.runs[0].to
		r.runs = slices.Delete(r.runs, 0, 1)
	}
}

// above counts the numbers that are not below low.
func (r *ranges) above() (n int) {
	for _, x := range r.runs {
		n += int(x.to - x.from)
	}
	return n
}

func (r *ranges) has(number uint64) bool {
	return number < r.low || slices.ContainsFunc(r.runs, func(x run) bool { return x.from <= number && number < x.to })
}
