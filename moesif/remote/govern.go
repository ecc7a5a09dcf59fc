package remote

// A Decision is what the rules say about one request.
type Decision struct {
	Blocked bool
	RuleID  string // of the rule that blocks, for the event's blocked_by

	// Headers are those of all rules that apply, blocking or not; of one name the first rule's. Content-Type is not
	// among them: it comes from the rule whose body is sent. Without a block they are for the response that passes,
	// where those are wanted.
	Headers []Header

	// What a blocked request is answered with.
	Status      int
	ContentType string // "" to send none
	Body        []byte
}

// Govern evaluates the rules: users', companies', the others', in the order of the document. The first one that blocks
// decides the answer. The result shares nothing with another request's.
//
// Cohorts that were never fetched hit nobody. A request whose user is not known is hit by a rule for users only if the
// rule says so.
func (s *Snapshot) Govern(r *Request) (d Decision) {
	if s.rules == nil || len(s.rules.list) == 0 {
		return d
	}
	user, company := cohort{unreadable: true}, cohort{unreadable: true}
	if s.config != nil {
		user, company = s.config.userRules[r.User], s.config.companyRules[r.Company]
	}
	for i := range s.rules.list {
		if rule := &s.rules.list[i]; rule.applies(r, user, company) {
			d.take(rule, user, company)
		}
	}
	return d
}

// applies reports whether the rule is about the request.
func (r *rule) applies(request *Request, user, company cohort) bool {
	switch r.kind {
	case userRule:
		return r.hits(request.User, user) && r.match.holds(request, false) == yes
	case companyRule:
		return r.hits(request.Company, company) && r.match.holds(request, false) == yes
	default:
		return r.match.holds(request, false) == yes
	}
}

// hits reports whether the rule is about a user or company, of whom the cohort is known.
func (r *rule) hits(name string, c cohort) bool {
	switch {
	case name == "":
		return r.unidentified
	case c.names(r.id):
		return !r.notMatching
	default:
		return r.notMatching && !c.unreadable
	}
}

// take adds what a rule that applies does.
func (d *Decision) take(r *rule, user, company cohort) {
	value := func(name string) (string, bool) {
		if v, ok := user.value(r.id, name); ok {
			return v, true
		}
		return company.value(r.id, name)
	}
	if r.block && !d.Blocked {
		d.Blocked, d.RuleID, d.Status = true, r.id, r.answer.status
		d.Body, d.ContentType = r.answer.render(value)
	}
	d.Headers = r.answer.addHeaders(d.Headers, value)
}
