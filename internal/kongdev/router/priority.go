package router

import (
	"strings"

	"kong-go-plugins/internal/kongdev/declarative"
)

// groupPaths splits a route's paths as Kong does before it sorts routes: one
// group for each prefix length and one for all regexes, in order of first
// appearance. No paths make one empty group.
func groupPaths(paths []string) [][]string {
	if len(paths) == 0 {
		return [][]string{nil}
	}
	var groups [][]string
	at := map[int]int{}
	for _, p := range paths {
		key := len(p)
		if declarative.IsRegexPath(p) {
			key = 0
		}
		i, ok := at[key]
		if !ok {
			i = len(groups)
			at[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], p)
	}
	return groups
}

// routePriority is the number by which Kong 3.9 orders routes, highest first.
//
// Kong describes it as a 64-bit word: how many kinds of rule the route has in
// the top bits, then plain hosts, header count, regex, regex priority and
// length of the path. Its code shifts ordinary Lua numbers, though, which
// LuaJIT does in 32 bits and modulo 32, so only the two flags for plain hosts
// and regexes reach the upper half: they outrank the number of rules until
// that is four, which turns the sign bit on and outranks all. This is what the
// released gateway does, so it is what is done here.
func routePriority(r *declarative.Route, paths []string) uint64 {
	const (
		plainHostBit = uint64(1) << 60
		regexBit     = uint64(1) << 51
		maxHeaders   = 255
		maxLength    = 0x7FFFF
	)
	shift := func(v, by int) uint64 { return uint64(int64(int32(v) << (by % 32))) }

	rules := 0
	for _, set := range []bool{len(r.Methods) > 0, len(r.Hosts) > 0, len(r.Headers) > 0, len(r.SNIs) > 0, len(paths) > 0} {
		if set {
			rules++
		}
	}
	p := shift(rules, 61) | shift(min(len(r.Headers), maxHeaders), 52)
	if len(r.Hosts) > 0 && !strings.Contains(strings.Join(r.Hosts, ""), "*") {
		p |= plainHostBit
	}
	switch {
	case len(paths) == 0:
	case declarative.IsRegexPath(paths[0]):
		p |= regexBit | shift(r.RegexPriority, 19)
	default:
		p |= uint64(len(paths[0]) & maxLength)
	}
	return p
}
