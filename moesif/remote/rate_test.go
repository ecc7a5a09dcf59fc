package remote

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRate(t *testing.T) {
	t.Parallel()
	const regex = `"regex_config":[{"conditions":[{"path":"request.route","value":"^/ping"}],"sample_rate":5},
		{"conditions":[{"path":"request.route","value":"^/p"},{"path":"response.status","value":"^2"}],"sample_rate":60},
		{"conditions":[{"path":"request.route","value":"^/p"}]},
		{"conditions":[{"path":"request.verb","value":"^GET$"}],"sample_rate":1}]`
	for _, c := range []struct {
		name, config string
		request      Request
		want         float64
	}{
		{"nothing fetched", "", Request{User: "u"}, 100},
		{"nothing said", `{}`, Request{User: "u"}, 100},
		{"global", `{"sample_rate":30}`, Request{User: "u"}, 30},
		{"user", `{"sample_rate":100,"user_sample_rate":{"u":10}}`, Request{User: "u"}, 10},
		{"user above global", `{"sample_rate":5,"user_sample_rate":{"u":90}}`, Request{User: "u"}, 90},
		{"another user", `{"sample_rate":5,"user_sample_rate":{"u":90}}`, Request{User: "v"}, 5},
		{"company", `{"sample_rate":5,"company_sample_rate":{"c":50}}`, Request{User: "c", Company: "c"}, 50},
		{"user and company: the lower", `{"user_sample_rate":{"u":90},"company_sample_rate":{"c":50}}`, Request{User: "u", Company: "c"}, 50},
		{"user and company: the other", `{"user_sample_rate":{"u":20},"company_sample_rate":{"c":50}}`, Request{User: "u", Company: "c"}, 20},
		{"zero", `{"user_sample_rate":{"u":0}}`, Request{User: "u"}, 0},
		{"regex: the first", `{` + regex + `}`, Request{Route: "/ping", Status: 200}, 5},
		{"regex: AND", `{` + regex + `}`, Request{Route: "/pong", Status: 200}, 60},
		{"regex: AND fails; one without a rate is none", `{` + regex + `}`, Request{Route: "/pong", Status: 500, Verb: "GET"}, 1},
		{"regex: none", `{"sample_rate":7,` + regex + `}`, Request{Route: "/x", Verb: "PUT"}, 7},
		{"regex against user", `{"user_sample_rate":{"u":2},` + regex + `}`, Request{User: "u", Route: "/ping"}, 2},
		{"regex below user", `{"user_sample_rate":{"u":70},` + regex + `}`, Request{User: "u", Route: "/ping"}, 5},
		{"regex without conditions", `{"sample_rate":7,"regex_config":[{"sample_rate":9}]}`, Request{}, 9},
		{"fraction", `{"sample_rate":0.5}`, Request{}, 0.5},
		{"as text", `{"sample_rate":"25","user_sample_rate":{"u":"12.5"}}`, Request{User: "u"}, 12.5},
		{"above", `{"sample_rate":250}`, Request{}, 100},
		{"below", `{"sample_rate":-1}`, Request{}, 0},
		{"no number", `{"sample_rate":"many"}`, Request{}, 100},
		{"not finite", `{"sample_rate":"Inf"}`, Request{}, 100},
		{"hexadecimal", `{"sample_rate":"0x1"}`, Request{}, 100},
		{"too large", `{"sample_rate":1e999}`, Request{}, 100},
		{"null", `{"sample_rate":null,"user_sample_rate":null,"regex_config":null}`, Request{User: "u"}, 100},
		{"a user's is none", `{"sample_rate":30,"user_sample_rate":{"u":{}}}`, Request{User: "u"}, 30},
		{"all are none", `{"sample_rate":30,"user_sample_rate":7,"company_sample_rate":"x","regex_config":{}}`, Request{User: "u"}, 30},
		{"operation", `{"regex_config":[{"conditions":[{"path":"request.body.operationName","value":"^Poll$"}],"sample_rate":3}]}`,
			Request{ContentType: "application/json", Body: []byte(`{"operationName":"Poll"}`)}, 3},
	} {
		s := snapshot(t, c.config, "")
		assert.InDelta(t, c.want, s.Rate(&c.request), 0, c.name)
		assert.GreaterOrEqual(t, s.MaxRate(&c.request), c.want, c.name)
	}
}

func TestMaxRate(t *testing.T) {
	t.Parallel()
	const body = `{"regex_config":[{"conditions":[{"path":"request.body.query","value":"x"}],"sample_rate":40}],"sample_rate":3}`
	const status = `{"sample_rate":3,"regex_config":[{"conditions":[{"path":"response.status","value":"^5"}],"sample_rate":90},
		{"conditions":[{"path":"request.verb","value":"GET"}],"sample_rate":10},{"conditions":[],"sample_rate":1}],"user_sample_rate":{"u":20,"v":60}}`
	for _, c := range []struct {
		name, config string
		request      Request
		want         float64
	}{
		{"nothing fetched", "", Request{}, 100},
		{"global", `{"sample_rate":3}`, Request{}, 3},
		{"a user may come", `{"sample_rate":3,"user_sample_rate":{"u":20,"v":60}}`, Request{}, 60},
		{"a company may come", `{"sample_rate":3,"company_sample_rate":{"u":20,"v":60}}`, Request{User: "u"}, 60},
		{"both are known", `{"sample_rate":3,"user_sample_rate":{"v":60},"company_sample_rate":{"v":60}}`, Request{User: "u", Company: "c"}, 3},
		{"who is known has a rate; another can only lower it", `{"sample_rate":3,"user_sample_rate":{"v":60},"company_sample_rate":{"v":90}}`, Request{User: "v"}, 60},
		{"status not known", status, Request{Verb: "GET"}, 90},
		{"status not known, user's rate", status, Request{Verb: "GET", User: "u"}, 20},
		{"status known", status, Request{Verb: "GET", Status: 200}, 10},
		{"status not known, the last matches always", status, Request{Verb: "PUT"}, 90},
		{"body not known", body, Request{ContentType: "application/json"}, 40},
		{"body not known, nor its type", body, Request{}, 40},
		{"body not known, no body to look into", body, Request{ContentType: "text/plain"}, 3},
		{"body known", body, Request{ContentType: "application/json", Body: []byte{}}, 3},
	} {
		assert.InDelta(t, c.want, snapshot(t, c.config, "").MaxRate(&c.request), 0, c.name)
	}
}

// Whatever comes to be known later, the rate is not above what MaxRate said.
func TestMaxRateIsABound(t *testing.T) {
	t.Parallel()
	for _, config := range []string{
		`{"sample_rate":30,"user_sample_rate":{"u":80,"v":5},"company_sample_rate":{"c":60,"d":1}}`,
		`{"sample_rate":2,"user_sample_rate":{"u":8},"regex_config":[{"conditions":[{"path":"response.status","value":"^2"}],"sample_rate":70},{"conditions":[{"path":"request.verb","value":"GET"}],"sample_rate":9}]}`,
		`{"regex_config":[{"conditions":[{"path":"request.body.query","value":"a"},{"path":"request.verb","value":"GET"}],"sample_rate":70},{"conditions":[{"path":"response.status","value":"404"}],"sample_rate":20}],"sample_rate":1}`,
	} {
		s := snapshot(t, config, "")
		for _, user := range []string{"", "u", "v", "w"} {
			for _, company := range []string{"", "c", "d", "e"} {
				for _, verb := range []string{"GET", "PUT"} {
					bound := s.MaxRate(&Request{User: user, Company: company, Verb: verb, ContentType: "application/graphql"})
					for _, status := range []int{200, 404, 500} {
						for _, text := range []string{"", "a"} {
							for _, lateUser := range []string{user, "u", "v"} {
								for _, lateCompany := range []string{company, "c", "d"} {
									r := Request{User: lateUser, Company: lateCompany, Verb: verb, Status: status, ContentType: "application/graphql", Body: []byte(text)}
									if (user == "" || user == lateUser) && (company == "" || company == lateCompany) {
										assert.LessOrEqual(t, s.Rate(&r), bound, "%s %+v", config, r)
									}
								}
							}
						}
					}
				}
			}
		}
	}
}

func TestKept(t *testing.T) {
	t.Parallel()
	assert.False(t, Kept(0, 0), "never")
	assert.True(t, Kept(100, 99.99999999999999), "always")
	assert.True(t, Kept(30, 29.9))
	assert.False(t, Kept(30, 30))
}

func TestWeight(t *testing.T) {
	t.Parallel()
	for rate, want := range map[float64]int{0: 1, 100: 1, 30: 3, 80: 1, 1: 100, 50: 2, 33.4: 2, 0.5: 200, 0.1: 1000, -1: 1, 101: 1, 1e-300: math.MaxInt32} {
		assert.Equal(t, want, Weight(rate), rate)
	}
	assert.Equal(t, 1, Weight(math.NaN()))
	assert.Equal(t, 100, Weight(1))
}

func TestDraw(t *testing.T) {
	t.Parallel()
	const n = 20_000
	var buckets [10]int
	for i := range n {
		id := fmt.Sprintf("%032x", i) // as alike as ids can be
		r := Draw(id)
		assert.GreaterOrEqual(t, r, 0.0)
		assert.Less(t, r, 100.0)
		assert.InDelta(t, r, Draw(id), 0, "every phase draws the same")
		buckets[int(r/10)]++
	}
	for i, count := range buckets {
		assert.InDelta(t, n/10, count, n/100, "bucket %d", i)
	}
	different := map[float64]bool{}
	for range 100 {
		different[Draw("")] = true
	}
	assert.Greater(t, len(different), 90, "without an id it is random")
}
