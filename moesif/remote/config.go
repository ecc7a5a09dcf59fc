package remote

import (
	"errors"
	"fmt"

	"kong-go-plugins/moesif/rawjson"
)

// config is what the collector's configuration document says. It never changes.
type config struct {
	rate      float64 // of requests without a rate of their own, 0..100
	users     rates
	companies rates
	regex     []regexRate

	userRules    cohorts
	companyRules cohorts
}

// rates are those of single users or companies.
type rates struct {
	of  map[string]float64
	max float64 // the highest one
}

type regexRate struct {
	match match
	rate  float64
}

// cohorts says which rules a user or company is named in.
type cohorts map[string]cohort

// A cohort is the part of cohorts for one user or company.
type cohort struct {
	memberships []membership
	unreadable  bool // what it says is not known; nothing may be concluded from a rule that it does not name
}

// A membership names one rule and the values of its template variables.
type membership struct {
	rule   string
	values map[string]string
}

// maxEntries is how many rules one user or company is named in, and how many rates go by conditions.
const maxEntries = 1000

// configMembers are the members of which a configuration has at least one. An error document with status 200 has none.
var configMembers = map[string]bool{ // read-only
	"org_id": true, "app_id": true, "sample_rate": true, "block_bot_traffic": true, "user_sample_rate": true,
	"company_sample_rate": true, "user_rules": true, "company_rules": true, "regex_config": true,
	"ip_addresses_blocked_by_name": true, "billing_config_jsons": true,
}

var errNotConfig = errors.New("the answer is not a configuration")

// parseConfig reads the collector's configuration. The error means that the document as a whole must not be used: without
// its cohorts, rules for everybody outside of one would hit everybody.
func parseConfig(document []byte) (*config, *problems, error) {
	document, err := compact(document)
	if err != nil {
		return nil, nil, err
	}
	if !rawjson.IsObject(document) {
		return nil, nil, errNotConfig
	}
	members := map[string][]byte{}
	known, empty := false, true
	rawjson.Members(document, func(name string, value []byte) {
		empty = false
		known = known || configMembers[name]
		members[name] = value
	})
	if !known && !empty {
		return nil, nil, errNotConfig
	}
	p := &problems{}
	c := &config{rate: 100}
	if v := members["sample_rate"]; !isNull(v) {
		if n, ok := rate(v); ok {
			c.rate = n
		} else {
			p.add("sample_rate is not a number; 100 is used")
		}
	}
	c.users = readRates(members["user_sample_rate"], "user_sample_rate", p)
	c.companies = readRates(members["company_sample_rate"], "company_sample_rate", p)
	c.regex = readRegexRates(members["regex_config"], p)
	if c.userRules, err = readCohorts(members["user_rules"], "user_rules", p); err != nil {
		return nil, nil, err
	}
	if c.companyRules, err = readCohorts(members["company_rules"], "company_rules", p); err != nil {
		return nil, nil, err
	}
	return c, p, nil
}

func readRates(v []byte, where string, p *problems) rates {
	r := rates{of: map[string]float64{}}
	switch {
	case isNull(v), isEmptyArray(v):
		return r
	case !rawjson.IsObject(v):
		p.add("%s is not an object; it is ignored", where)
		return r
	}
	rawjson.Members(v, func(name string, value []byte) {
		n, ok := rate(value)
		if !ok || !id(name) {
			p.add("%s: an entry has no id or no number; it is ignored", where)
			return
		}
		r.of[name] = n
	})
	for _, n := range r.of {
		r.max = max(r.max, n)
	}
	return r
}

func readRegexRates(v []byte, p *problems) (list []regexRate) {
	if !isNull(v) && !isArray(v) {
		p.add("regex_config is not an array; it is ignored")
	}
	m := matchReader{problems: p, status: true}
	number := 0
	rawjson.Elements(v, func(entry []byte) {
		number++
		where := fmt.Sprintf("regex_config: entry %d", number)
		n, ok := rate(member(entry, "sample_rate"))
		if number > maxEntries {
			p.add("%s is beyond the %dth; it is ignored", where, maxEntries)
			return
		}
		if !ok {
			p.add("%s has no sample_rate; it is ignored", where)
			return
		}
		if conditions, ok := m.entry(entry, where); ok {
			list = append(list, regexRate{match: match{alternatives: [][]condition{conditions}}, rate: n})
		}
	})
	return list
}

func readCohorts(v []byte, where string, p *problems) (cohorts, error) {
	switch {
	case isNull(v), isEmptyArray(v):
		return nil, nil
	case !rawjson.IsObject(v):
		return nil, fmt.Errorf("%s is not an object", where)
	}
	all := cohorts{}
	rawjson.Members(v, func(name string, value []byte) {
		if !id(name) {
			p.add("%s: an id is empty or not UTF-8; it is ignored", where)
			return
		}
		all[name] = readCohort(value, where, p)
	})
	return all, nil
}

func readCohort(v []byte, where string, p *problems) (c cohort) {
	switch {
	case isNull(v), string(v) == "{}":
		return c
	case !isArray(v):
		p.add("%s: an entry is not an array; no rule is applied that it may be about", where)
		return cohort{unreadable: true}
	}
	rawjson.Elements(v, func(value []byte) {
		rule, ok := text(member(value, "rules"))
		if !ok || !id(rule) || len(c.memberships) == maxEntries {
			p.add("%s: an entry names no rule, or too many; no rule is applied that it may be about", where)
			c.unreadable = true
			return
		}
		c.memberships = append(c.memberships, membership{rule: rule, values: readValues(member(value, "values"), where, p)})
	})
	return c
}

func readValues(v []byte, where string, p *problems) map[string]string {
	switch {
	case v == nil, isEmptyArray(v):
		return nil
	case !rawjson.IsObject(v):
		p.add("%s: values are not an object; they are missing", where)
		return nil
	}
	values := map[string]string{}
	rawjson.Members(v, func(name string, value []byte) {
		if s, ok := text(value); ok {
			values[name] = s
		} else if !isNull(value) {
			p.add("%s: a value is no text; it is missing", where)
		}
	})
	return values
}

// names reports whether the cohort has the rule.
func (c cohort) names(rule string) bool {
	for i := range c.memberships {
		if c.memberships[i].rule == rule {
			return true
		}
	}
	return false
}

// value returns the value of a rule's variable.
func (c cohort) value(rule, variable string) (string, bool) {
	for i := range c.memberships {
		if m := &c.memberships[i]; m.rule == rule {
			if v, ok := m.values[variable]; ok {
				return v, true
			}
		}
	}
	return "", false
}
