package moesif

import "strings"

// identityRules say where the user and the company of a request are found.
type identityRules struct {
	userHeader, companyHeader string   // lower case; "" for none
	tokenHeaders              []string // lower case, in order
	userClaim, companyClaim   string
	trustConsumerHeaders      bool
}

// hidden returns the request headers whose token is needed to identify x and that Kong has redacted.
func (r identityRules) hidden(x *exchange) []string {
	if !r.needsToken(x) {
		return nil
	}
	var names []string
	for _, name := range r.tokenHeaders {
		if isRedacted(name) && x.request.first(name) == redacted {
			names = append(names, name)
		}
	}
	return names
}

// needsToken reports whether a token could add something: parsing one is the last resort.
func (r identityRules) needsToken(x *exchange) bool {
	return len(r.tokenHeaders) > 0 &&
		(r.userFromKong(x) == "" || r.companyClaim != "" && r.companyOf(x) == "")
}

// identify returns the user's and the company's id, "" for unknown. Masks do not matter here: what identifies is asked
// for by other settings.
func (r identityRules) identify(x *exchange) (user, company string) {
	user = r.userFromKong(x)
	company = r.companyOf(x)
	for _, name := range r.tokenHeaders {
		if user != "" && (company != "" || r.companyClaim == "") {
			break
		}
		u, c := readToken(x.token(name), r.userClaim, r.companyClaim)
		if user == "" {
			user = u
		}
		if company == "" {
			company = c
		}
	}
	if user == "" && r.userHeader != "" {
		user = x.response.first(r.userHeader)
	}
	if company == "" && r.companyHeader != "" {
		company = x.response.first(r.companyHeader)
	}
	return user, company
}

// userFromKong finds the user without a token: the configured header, then Kong's consumer, then the headers that Kong's
// plugins set for upstreams.
func (r identityRules) userFromKong(x *exchange) string {
	if r.userHeader != "" {
		if u := x.request.first(r.userHeader); u != "" {
			return u
		}
	}
	anonymous := isAnonymous(x)
	if c := x.consumer; c != nil && !anonymous {
		for _, id := range []string{c.CustomID, c.Username, c.ID} {
			if id != "" {
				return id
			}
		}
	}
	if r.trustConsumerHeaders && !anonymous {
		for _, name := range []string{"x-consumer-custom-id", "x-consumer-username", "x-consumer-id"} {
			if u := x.request.first(name); u != "" {
				return u
			}
		}
	}
	return ""
}

// isAnonymous reports whether the consumer is the one that an authentication plugin falls back to, which is nobody. The
// plugins say so in a header, which they take away from whoever authenticates; a client that forges it hides only itself.
func isAnonymous(x *exchange) bool {
	return !x.authenticated && strings.EqualFold(x.request.first("x-anonymous-consumer"), "true")
}

func (r identityRules) companyOf(x *exchange) string {
	if r.companyHeader == "" {
		return ""
	}
	return x.request.first(r.companyHeader)
}

// cutScheme removes an authentication scheme, whatever its case, from the front of a header's value.
func cutScheme(value, scheme string) (rest string, ok bool) {
	if len(value) <= len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return value, false
	}
	if c := value[len(scheme)]; c != ' ' && c != '\t' {
		return value, false
	}
	return strings.TrimSpace(value[len(scheme):]), true
}
