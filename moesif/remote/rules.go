package remote

import (
	"errors"
	"fmt"

	"kong-go-plugins/moesif/rawjson"
)

// The types of rules, in the order in which they are evaluated.
const (
	userRule = iota
	companyRule
	regexRule
	ruleTypes
)

var typeNames = [ruleTypes]string{"user", "company", "regex"} // read-only

// rules is what the collector's rules document says. It never changes.
type rules struct {
	list  []rule // users', companies', the others'; inside a group in the document's order
	count [ruleTypes]int
}

// A rule is one governance rule.
type rule struct {
	id           string
	kind         int
	block        bool
	notMatching  bool // it is about everybody outside of the cohort
	unidentified bool // it is about requests without an id, too
	match        match
	answer       answer
}

// maxRules is how many rules are evaluated; a collector that sends more has lost its way, and each costs every request.
const maxRules = 1000

var errNotRules = errors.New("the answer is not a list of rules")

// parseRules reads the collector's rules. The error means that the document as a whole must not be used.
func parseRules(document []byte) (*rules, *problems, error) {
	document, err := compact(document)
	if err != nil {
		return nil, nil, err
	}
	if !isArray(document) {
		return nil, nil, errNotRules
	}
	p := &problems{}
	m := matchReader{problems: p}
	var groups [ruleTypes][]rule
	seen := map[string]bool{}
	number, readable := 0, 0
	rawjson.Elements(document, func(v []byte) {
		number++
		where := fmt.Sprintf("rule %d", number)
		name, hasID := text(member(v, "_id"))
		kind, hasType := text(member(v, "type"))
		if !hasID || !id(name) || !hasType {
			p.add("%s has no _id or no type; it is ignored", where)
			return
		}
		readable++
		if seen[name] {
			p.add("%s has the _id of an earlier one; it is ignored", where)
			return
		}
		if len(seen) == maxRules {
			p.add("%s is beyond the %dth; it is ignored", where, maxRules)
			return
		}
		seen[name] = true
		for i, t := range typeNames {
			if kind == t {
				groups[i] = append(groups[i], readRule(v, name, i, where, &m))
			}
		}
	})
	if number > 0 && readable == 0 {
		return nil, nil, errNotRules
	}
	r := &rules{}
	for i, group := range groups {
		r.list = append(r.list, group...)
		r.count[i] = len(group)
	}
	return r, p, nil
}

func readRule(v []byte, name string, kind int, where string, m *matchReader) rule {
	r := rule{id: name, kind: kind}
	r.block = flag(v, "block", where, m.problems)
	r.unidentified = flag(v, "applied_to_unidentified", where, m.problems)
	switch to := member(v, "applied_to"); string(to) {
	case "", `"matching"`:
	case `"not_matching"`:
		r.notMatching = true
	default:
		m.problems.add("%s: applied_to is neither matching nor not_matching; matching is used", where)
	}
	r.match = m.read(member(v, "regex_config"), where)
	r.answer = readAnswer(member(v, "response"), readVariables(member(v, "variables"), where, m.problems), where, m.problems)
	return r
}

// flag returns a boolean member, false for anything but true.
func flag(v []byte, name, where string, p *problems) bool {
	switch string(member(v, name)) {
	case "true":
		return true
	case "", "false":
	default:
		p.add("%s: %s is not a boolean; it counts as false", where, name)
	}
	return false
}

// readVariables returns the names that stand for values.
func readVariables(v []byte, where string, p *problems) map[string]bool {
	if v != nil && !isArray(v) && !rawjson.IsObject(v) {
		p.add("%s: variables are not an array; there are none", where)
	}
	declared := map[string]bool{}
	rawjson.Elements(v, func(value []byte) {
		if name, ok := text(member(value, "name")); ok && name != "" {
			declared[name] = true
		} else {
			p.add("%s: a variable has no name; it is ignored", where)
		}
	})
	return declared
}
