package datakit

import "slices"

// checkCycles reports one cycle of each group of nodes that wait for each other, the shortest one through the first of
// them, and whether there is none.
func (g *graph) checkCycles() bool {
	sound := true
	for _, group := range g.groups() {
		if len(group) < 2 {
			continue
		}
		sound = false
		first := group[0] // declared nodes stand before implicit ones
		cycle := g.shortestCycle(first, group)
		v := g.vertices[first]
		at := "nodes"
		if v.conf != nil {
			at = v.conf.path
		}
		g.problems.addWhole(at, "invalid dependency (%s -> %s): circular dependency (%s)", v.label(), g.vertices[cycle[len(cycle)-2]].label(), g.path(cycle))
	}
	return sound
}

// groups returns the strongly connected components, each sorted, by their first vertex.
func (g *graph) groups() [][]int {
	n := len(g.vertices)
	reach := make([][]bool, n) // reach[a][b]: b leads to a
	for i := range reach {
		reach[i] = make([]bool, n)
		stack := []int{i}
		for len(stack) > 0 {
			v := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			for _, from := range g.sources(g.vertices[v]) {
				if !reach[i][from] {
					reach[i][from] = true
					stack = append(stack, from)
				}
			}
		}
	}
	grouped := make([]bool, n)
	var groups [][]int
	for i := range n {
		if grouped[i] {
			continue
		}
		group := []int{i}
		for j := i + 1; j < n; j++ {
			if reach[i][j] && reach[j][i] {
				group = append(group, j)
				grouped[j] = true
			}
		}
		groups = append(groups, group)
	}
	return groups
}

// shortestCycle returns the shortest way from a vertex back to it, in the direction of the data.
func (g *graph) shortestCycle(start int, group []int) []int {
	next := map[int]int{} // where a vertex' value goes on the way to start
	queue := []int{start}
	for len(queue) > 0 {
		v := queue[0]
		queue = queue[1:]
		for _, from := range g.sources(g.vertices[v]) {
			if from == start {
				cycle := []int{start}
				for at := v; at != start; at = next[at] {
					cycle = append(cycle, at)
				}
				return append(cycle, start)
			}
			if _, seen := next[from]; !seen && slices.Contains(group, from) {
				next[from] = v
				queue = append(queue, from)
			}
		}
	}
	return []int{start, start}
}

// order returns the vertices so that each stands behind those it depends on, by list position where that leaves a choice.
func (g *graph) order() []int {
	done := make([]bool, len(g.vertices))
	var order []int
	for len(order) < len(g.vertices) {
		before := len(order)
		for _, v := range g.vertices {
			if !done[v.place] && !slices.ContainsFunc(g.sources(v), func(from int) bool { return !done[from] }) {
				done[v.place] = true
				order = append(order, v.place)
				break
			}
		}
		if len(order) == before {
			return nil
		}
	}
	return order
}
