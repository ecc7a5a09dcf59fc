package remote

import "slices"

// A Snapshot is one state of the collector's configuration and rules. It never changes, so any number of requests may
// use it at once. The zero value knows nothing: it blocks nobody and keeps everything.
type Snapshot struct {
	config *config // nil until one was fetched or read from disk
	rules  *rules  // nil until they were fetched or read from disk
	needs  Needs
	names  []string // of headers
}

// Needs says which facts of a request the rules and rates look at. What is false need not be asked for.
type Needs struct {
	Identity bool // user and company
	Verb     bool
	Route    bool
	IP       bool
	Headers  bool // request headers, those of HeaderNames
	Body     bool // a rule looks into the request's body; ContentType, too
	RateBody bool // a rate does; Rate takes the body where it is at hand, MaxRate does without
}

func newSnapshot(c *config, r *rules) *Snapshot {
	s := &Snapshot{config: c, rules: r}
	if c != nil {
		s.needs.Identity = len(c.users.of) > 0 || len(c.companies.of) > 0
		for i := range c.regex {
			if s.add(c.regex[i].match) {
				s.needs.RateBody = true
			}
		}
	}
	if r != nil {
		for i := range r.list {
			rule := &r.list[i]
			if s.add(rule.match) {
				s.needs.Body = true
			}
			s.needs.Identity = s.needs.Identity || rule.kind != regexRule
		}
	}
	slices.Sort(s.names)
	s.names = slices.Compact(s.names)
	s.needs.Headers = len(s.names) > 0
	return s
}

// add takes the facts of m into account and reports whether the body is one of them.
func (s *Snapshot) add(m match) (body bool) {
	for _, conditions := range m.alternatives {
		for _, c := range conditions {
			if c.pattern == nil {
				continue
			}
			switch c.fact {
			case factVerb:
				s.needs.Verb = true
			case factRoute:
				s.needs.Route = true
			case factIP:
				s.needs.IP = true
			case factHeader:
				s.names = append(s.names, c.name)
			case factBody:
				body = true
			}
		}
	}
	return body
}

// Known reports whether both documents have been fetched at some time, by this process or an earlier one.
func (s *Snapshot) Known() bool { return s.config != nil && s.rules != nil }

// HeaderNames returns the request headers that conditions look at, in lower case. The caller must not change it.
func (s *Snapshot) HeaderNames() []string { return s.names }

// Governs reports whether there are rules.
func (s *Snapshot) Governs() bool { return s.rules != nil && len(s.rules.list) > 0 }

// Samples reports whether there is a request that may be left out.
func (s *Snapshot) Samples() bool {
	c := s.config
	return c != nil && (c.rate < 100 || len(c.users.of)+len(c.companies.of)+len(c.regex) > 0)
}

// Needs returns which facts Govern, Rate and MaxRate look at.
func (s *Snapshot) Needs() Needs { return s.needs }
