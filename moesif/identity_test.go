package moesif

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// fields makes headers of pairs.
func fields(pairs ...string) headers {
	var h headers
	for i := 0; i < len(pairs); i += 2 {
		h = append(h, headerField{pairs[i], []string{pairs[i+1]}})
	}
	return h
}

// D14, D15: who made the request.
func TestIdentifyD14D15(t *testing.T) {
	rules := identityRules{
		userHeader: "x-user", companyHeader: "x-company", tokenHeaders: []string{"x-api-key", "authorization"},
		userClaim: "sub", companyClaim: "org", trustConsumerHeaders: true,
	}
	token := "Bearer " + jwt(`{"sub":"token-user","org":"token-company"}`)
	consumerHeaders := fields("x-consumer-custom-id", "hc", "x-consumer-username", "hu", "x-consumer-id", "hi")
	with := func(change func(*identityRules)) identityRules {
		r := rules
		change(&r)
		return r
	}
	for _, c := range []struct {
		name          string
		rules         identityRules
		x             exchange
		user, company string
	}{
		{"nothing", rules, exchange{}, "", ""},
		{"the configured headers", rules, exchange{request: append(fields("x-user", " u ", "x-company", "c"), consumerHeaders...)}, "u", "c"},
		{"blank header, then consumer", rules, exchange{request: fields("x-user", " "), consumer: &consumer{ID: "i", Username: "n"}}, "n", ""},
		{"consumer: custom id", rules, exchange{consumer: &consumer{"i", "n", "c"}, request: consumerHeaders}, "c", ""},
		{"consumer: id alone", rules, exchange{consumer: &consumer{ID: "i"}, request: consumerHeaders}, "i", ""},
		{"consumer headers", rules, exchange{request: consumerHeaders}, "hc", ""},
		{"consumer headers: order", rules, exchange{request: consumerHeaders[1:]}, "hu", ""},
		{"consumer headers not trusted", with(func(r *identityRules) { r.trustConsumerHeaders = false }), exchange{request: consumerHeaders}, "", ""},
		{"token", rules, exchange{request: fields("authorization", redacted), secret: fields("authorization", token)}, "token-user", "token-company"},
		{"token: first list entry that yields", rules, exchange{request: fields("x-api-key", "opaque", "authorization", redacted), secret: fields("authorization", token)}, "token-user", "token-company"},
		{"token: order of the list", rules, exchange{request: fields("authorization", "Bearer "+jwt(`{"sub":"second"}`), "x-api-key", jwt(`{"sub":"first"}`))}, "first", ""},
		{"company from the token of a consumer", rules, exchange{consumer: &consumer{ID: "i"}, request: fields("authorization", token)}, "i", "token-company"},
		{"company header before the token", rules, exchange{request: fields("x-company", "c", "authorization", token)}, "token-user", "c"},
		{"no token headers", with(func(r *identityRules) { r.tokenHeaders = nil }), exchange{request: fields("authorization", token)}, "", ""},
		{"response headers last", rules, exchange{response: fields("x-user", "ru", "x-company", "rc")}, "ru", "rc"},
		{"token before response headers", rules, exchange{request: fields("authorization", token), response: fields("x-user", "ru", "x-company", "rc")}, "token-user", "token-company"},
		{"REDACTED is no token", rules, exchange{request: fields("authorization", redacted)}, "", ""},
		{"D14: the anonymous consumer is nobody", rules, exchange{consumer: &consumer{ID: "i", Username: "anonymous"},
			request: append(fields("x-anonymous-consumer", "true", "authorization", token), consumerHeaders...)}, "token-user", "token-company"},
		{"D14: who authenticates is not anonymous, whatever a header says", rules, exchange{consumer: &consumer{ID: "i"}, authenticated: true,
			request: fields("x-anonymous-consumer", "true")}, "i", ""},
		{"D14: custom id, username, id", rules, exchange{consumer: &consumer{"i", "n", ""}}, "n", ""},
		{"D16: an opaque key is no user", rules, exchange{request: fields("x-api-key", "0123456789abcdef")}, "", ""},
		{"first of a repeated header", rules, exchange{request: headers{{"x-user", []string{"", "a", "b"}}}}, "a", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			user, company := c.rules.identify(&c.x)
			assert.Equal(t, c.user, user, "user")
			assert.Equal(t, c.company, company, "company")
		})
	}
}

func TestHiddenHeaders(t *testing.T) {
	rules := identityRules{companyHeader: "x-company", tokenHeaders: []string{"authorization"}, userClaim: "sub"}
	withCompany := rules
	withCompany.companyClaim = "org"
	auth := fields("authorization", redacted)
	for _, c := range []struct {
		name  string
		rules identityRules
		x     exchange
		want  []string
	}{
		{"the token is the last hope", rules, exchange{request: auth}, []string{"authorization"}},
		{"the user is known", rules, exchange{request: auth, consumer: &consumer{ID: "i"}}, nil},
		{"the user is known, the company not", withCompany, exchange{request: auth, consumer: &consumer{ID: "i"}}, []string{"authorization"}},
		{"both are known", withCompany, exchange{request: append(auth, fields("x-company", "c")...), consumer: &consumer{ID: "i"}}, nil},
		{"no such header", rules, exchange{}, nil},
		{"not redacted", rules, exchange{request: fields("authorization", "Basic x")}, nil},
		{"no token is read", identityRules{}, exchange{request: auth}, nil},
	} {
		assert.Equal(t, c.want, c.rules.hidden(&c.x), c.name)
	}
}
