package datakit

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/itchyny/gojq"
)

// Some of jq's functions and its minus compare each value of one list with each of another, in one step that the library
// does not interrupt: with two long lists of a client's, a processor would be at work for an hour. So minus is done with a
// sorted list, and the functions look first.

// costly are those functions, all of one argument.
var costly = []string{"contains", "inside", "indices", "index", "rindex"} // read-only

// minus is the function that guardMinus puts in.
const minus = "_checked_minus"

// maxComparisons is how many values one step of a program may compare: a second's or two. Lists of 10,000 are below it.
const maxComparisons = 100_000_000

// affordable returns an error when a step would compare more values of a with values of b.
func affordable(step string, a, b any) error {
	na, nb := countValues(a), countValues(b)
	if text, is := a.(string); is && step != "contains" && step != "inside" {
		if part, is := b.(string); is { // looked for at each character, where most differ soon
			na, nb = 1+len(text)/8, 1+len(part)
		}
	}
	if na > maxComparisons/nb {
		return fmt.Errorf("%s would take too long: the values are too many to compare each with each, or the text too long", step)
	}
	return nil
}

// countValues counts a value and what is in it, and a string by its length.
func countValues(v any) int {
	n := 1
	switch v := v.(type) {
	case string:
		n += len(v) / 32
	case []any:
		for _, e := range v {
			n += countValues(e)
		}
	case map[string]any:
		for _, e := range v {
			n += countValues(e)
		}
	}
	return n
}

// subtractLists returns the values of a list that are not in the other one.
func subtractLists(list, other []any) []any {
	sorted := slices.SortedFunc(slices.Values(other), gojq.Compare)
	rest := make([]any, 0, len(list))
	for _, v := range list {
		if _, is := slices.BinarySearchFunc(sorted, v, gojq.Compare); !is {
			rest = append(rest, v)
		}
	}
	return rest
}

// guardMinus has every minus of a program that may be one of lists done by a function of ours. The right
// side comes first there, as it does in jq when both sides have several results.
func guardMinus(program *gojq.Query) {
	eachQuery(reflect.ValueOf(program), func(q *gojq.Query) {
		switch {
		case q.Op == gojq.OpSub && !isNumber(q.Left) && !isNumber(q.Right):
			q.Term, q.Left, q.Op, q.Right = call(minus, q.Right, q.Left), nil, 0, nil
		case q.Op == gojq.OpUpdateSub && !isNumber(q.Right): // a -= b is b as $b | a |= . - $b
			minus := &gojq.Query{Term: call(minus, &gojq.Query{Term: call("$__less")}, &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity}})}
			update := &gojq.Query{Left: q.Left, Op: gojq.OpModify, Right: minus}
			q.Left, q.Op, q.Patterns, q.Right = q.Right, gojq.OpPipe, []*gojq.Pattern{{Name: "$__less"}}, update
		}
	})
}

func isNumber(q *gojq.Query) bool { return q.Term != nil && q.Term.Type == gojq.TermTypeNumber }

func call(name string, arguments ...*gojq.Query) *gojq.Term {
	return &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: arguments}}
}

// eachQuery calls f for every query in a part of a program, the inner ones first. The library's tree has some twenty kinds
// of nodes, all of them structures with exported fields.
func eachQuery(v reflect.Value, f func(*gojq.Query)) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		eachQuery(v.Elem(), f)
		if q, is := v.Interface().(*gojq.Query); is {
			f(q)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			eachQuery(v.Field(i), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachQuery(v.Index(i), f)
		}
	}
}
