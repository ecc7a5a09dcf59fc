package mask

import (
	"fmt"
	"strconv"
	"strings"
)

// A step is a member's name, an element's index, or all of them.
type step struct {
	name  string
	index int // -1: a name, or all
	all   bool
}

// A node is where paths with the same first steps go on: all paths are followed in one walk.
type node struct {
	end     bool // a path ends here
	names   map[string]*node
	lengths lengths // of the names
	indexes map[int]*node
	all     *node
	through *node // what of it holds for the elements of an array that a path does not mention: the names
}

// add puts a path below n.
func (n *node) add(steps []step) {
	for _, s := range steps {
		var next *node
		switch {
		case s.all:
			if n.all == nil {
				n.all = new(node)
			}
			next = n.all
		case s.index >= 0:
			if n.indexes == nil {
				n.indexes = make(map[int]*node)
			}
			if next = n.indexes[s.index]; next == nil {
				next = new(node)
				n.indexes[s.index] = next
			}
		default:
			if n.names == nil {
				n.names = make(map[string]*node)
			}
			if next = n.names[s.name]; next == nil {
				next = new(node)
				n.names[s.name] = next
				n.lengths.add(len(s.name))
			}
		}
		n = next
	}
	n.end = true
}

// child returns where paths go on below the member of that name, or nil.
func (n *node) child(name []byte) *node {
	if !n.lengths.has(len(name)) {
		return nil
	}
	return n.names[string(name)]
}

// lengths is a set of lengths modulo 64, which spares most look-ups in a map.
type lengths uint64

func (l *lengths) add(n int)     { *l |= 1 << (n & 63) }
func (l lengths) has(n int) bool { return l&(1<<(n&63)) != 0 }

// link completes the nodes when all paths are in.
func (n *node) link() {
	if n.names != nil {
		n.through = &node{names: n.names, lengths: n.lengths}
		n.through.through = n.through
	}
	for _, c := range n.names {
		c.link()
	}
	for _, c := range n.indexes {
		c.link()
	}
	if n.all != nil {
		n.all.link()
	}
}

// parsePath reads $.name, .name, name, [0], [*], .* and ["name"] or ['name'].
func parsePath(s string) ([]step, error) {
	bad := func(what string) error {
		return fmt.Errorf(`%q is no path: %s; write for instance $.user.ssn or items[*].card`, s, what)
	}
	var p []step
	rest := s
	switch {
	case strings.HasPrefix(rest, "$"):
		rest = rest[1:]
		if rest == "" {
			return nil, bad("it names the whole body, for which there is the setting that disables body capture")
		}
	case rest[0] != '.' && rest[0] != '[':
		rest = "." + rest
	}
	for rest != "" {
		switch rest[0] {
		case '.':
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			name := rest[1:end]
			rest = rest[end:]
			switch name {
			case "":
				return nil, bad("a name is empty")
			case "*":
				p = append(p, step{index: -1, all: true})
			default:
				p = append(p, step{index: -1, name: name})
			}
		case '[':
			st, after, ok := parseBracket(rest)
			if !ok {
				return nil, bad("between [ and ] stands neither a number, nor *, nor a name in quotes")
			}
			p = append(p, st)
			rest = after
		default:
			return nil, bad("a dot or [ is missing")
		}
	}
	return p, nil
}

// parseBracket reads one [...] from the start of s and returns what follows it.
func parseBracket(s string) (st step, after string, ok bool) {
	if len(s) > 2 && (s[1] == '"' || s[1] == '\'') {
		end := strings.Index(s[2:], string(s[1])+"]")
		if end <= 0 {
			return step{}, "", false
		}
		return step{index: -1, name: s[2 : 2+end]}, s[2+end+2:], true
	}
	end := strings.IndexByte(s, ']')
	if end < 0 {
		return step{}, "", false
	}
	inner, after := s[1:end], s[end+1:]
	if inner == "*" {
		return step{index: -1, all: true}, after, true
	}
	n, err := strconv.Atoi(inner)
	if err != nil || n < 0 {
		return step{}, "", false
	}
	return step{index: n}, after, true
}
