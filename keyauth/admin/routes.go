package admin

import (
	"net/url"
	"slices"
	"strings"
)

// A route is an endpoint. The documentation's table is made of these.
type route struct {
	method  string
	pattern string // {consumer} and {key} stand for a segment
	seed    bool   // of Kong 0.x alone
	ours    bool   // Kong has none
	handle  func(*call) (answer, error)
	answers string
	summary string
}

var routes = []route{ // read-only
	{"GET", "/consumers", false, false, listConsumers, "200 list", "Lists consumers by id. `?custom_id=` finds one."},
	{"POST", "/consumers", false, false, createConsumer, "201 consumer", "Makes a consumer: `username` or `custom_id` is needed."},
	{"PUT", "/consumers", true, false, putConsumers, "201 or 200 consumer", "Makes a consumer, or replaces the one whose `id` is given."},
	{"GET", "/consumers/{consumer}", false, false, getConsumer, "200 consumer", ""},
	{"PUT", "/consumers/{consumer}", false, false, putConsumer, "200 consumer", "Replaces a consumer, or makes it."},
	{"PATCH", "/consumers/{consumer}", false, false, patchConsumer, "200 consumer", "Changes what is given."},
	{"DELETE", "/consumers/{consumer}", false, false, deleteConsumer, "204", "Removes a consumer and its keys; 204 also when there is none."},

	{"GET", "/consumers/{consumer}/key-auth", false, false, listCredentials, "200 list", "Lists a consumer's credentials by id."},
	{"POST", "/consumers/{consumer}/key-auth", false, false, createCredential, "201 credential", "Makes a credential. **The answer is the only one with the `key`**; it is generated unless given."},
	{"PUT", "/consumers/{consumer}/key-auth", true, false, putCredentials, "201 or 200 credential", "Makes a credential, or replaces the one whose `id` is given."},
	{"GET", "/consumers/{consumer}/key-auth/{key}", false, false, getCredential, "200 credential", ""},
	{"PUT", "/consumers/{consumer}/key-auth/{key}", false, false, putCredential, "200 credential", "Replaces a credential, or makes it; of an id, the key is generated unless given. It may have been another consumer's."},
	{"PATCH", "/consumers/{consumer}/key-auth/{key}", false, false, patchCredential, "200 credential", "Changes what is given; `ttl` counts from now."},
	{"DELETE", "/consumers/{consumer}/key-auth/{key}", false, false, deleteCredential, "204", "Revokes a key; 404 when the consumer has none such."},
	{"POST", "/consumers/{consumer}/key-auth/{key}/rotate", false, true, rotateCredential, "201 credential", "As `/key-auths/{key}/rotate`."},

	{"GET", "/key-auths", false, false, listCredentials, "200 list", "Lists all credentials by id."},
	{"POST", "/key-auths", false, false, createCredential, "201 credential", "Makes a credential: `consumer.id` or `consumer.username` is needed."},
	{"GET", "/key-auths/{key}", false, false, getCredential, "200 credential", ""},
	{"PUT", "/key-auths/{key}", false, false, putCredential, "200 credential", "Replaces a credential, or makes it: `consumer` is needed."},
	{"PATCH", "/key-auths/{key}", false, false, patchCredential, "200 credential", "Changes what is given."},
	{"DELETE", "/key-auths/{key}", false, false, deleteCredential, "204", "Revokes a key; 204 also when there is none."},
	{"POST", "/key-auths/{key}/rotate", false, true, rotateCredential, "201 credential", "Makes another key with the same rights; the old one goes on working for `?grace=48h`, by default 24h. The body may give fields of the new one."},

	{"GET", "/key-auths/{key}/consumer", false, false, getConsumerOf, "200 consumer", "The consumer of a credential."},
	{"PUT", "/key-auths/{key}/consumer", false, false, putConsumerOf, "200 consumer", ""},
	{"PATCH", "/key-auths/{key}/consumer", false, false, patchConsumerOf, "200 consumer", ""},
	{"DELETE", "/key-auths/{key}/consumer", false, false, deleteConsumerOf, "405", "A consumer is removed by its own address."},

	{"GET", "/metrics", false, true, showMetrics, "200 text", "What requests did, for [Prometheus](#metrics)."},
}

// match finds the route of a request. Without one it returns the methods that the path has, in the form of the header
// Allow; there are none for an unknown path.
func (a *API) match(method, escapedPath string) (r route, params map[string]string, allow []string) {
	segments, ok := split(escapedPath)
	if !ok {
		return r, nil, nil
	}
	if method == "HEAD" {
		method = "GET"
	}
	for _, candidate := range a.routes {
		found := fit(candidate.pattern, segments)
		if found == nil {
			continue
		}
		if candidate.method == method {
			return candidate, found, nil
		}
		allow = append(allow, candidate.method)
	}
	if slices.Contains(allow, "GET") {
		allow = append(allow, "HEAD", "OPTIONS")
	}
	slices.Sort(allow)
	return r, nil, allow
}

// split returns the unescaped segments of a path. A slash at its end does not count.
func split(escapedPath string) (segments []string, ok bool) {
	path, ok := strings.CutPrefix(strings.TrimSuffix(escapedPath, "/"), "/")
	if !ok {
		return nil, false
	}
	for segment := range strings.SplitSeq(path, "/") {
		text, err := url.PathUnescape(segment)
		if err != nil || text == "" {
			return nil, false
		}
		segments = append(segments, text)
	}
	return segments, true
}

// fit returns what stands in the pattern's braces, or nil.
func fit(pattern string, segments []string) map[string]string {
	parts := strings.Split(pattern[1:], "/")
	if len(parts) != len(segments) {
		return nil
	}
	params := map[string]string{}
	for i, part := range parts {
		if name, isParam := strings.CutPrefix(part, "{"); isParam {
			params[strings.TrimSuffix(name, "}")] = segments[i]
		} else if part != segments[i] {
			return nil
		}
	}
	return params
}
