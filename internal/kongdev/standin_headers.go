package kongdev

import (
	"encoding/json"
	"maps"
	"slices"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/schema"
)

// headersStandIn sets and removes headers of the request and of the response,
// the latter where Kong's response-transformer does: after everything else, and
// without buffering.
var headersStandIn = standIn{ // read-only
	priority: 801,
	phases:   []string{"access", "header_filter"},
	schema: func() schema.Plugin {
		header := schema.Field{Type: schema.String}
		headers := func(name string) schema.Field {
			return schema.Field{Name: name, Type: schema.Map, Keys: &header, Values: &schema.Field{Type: schema.String}}
		}
		names := func(name string) schema.Field {
			return schema.Field{Name: name, Type: schema.Array, Elements: &header}
		}
		return schema.Plugin{Name: "kongdev-headers", Fields: []schema.Field{
			headers("request"), names("remove_request"), headers("response"), names("remove_response"),
		}}
	},
	build: buildHeaders,
}

func buildHeaders(config json.RawMessage, _ *declarative.Config) (h standInHandlers, err error) {
	var c struct {
		Request        texts    `json:"request"`
		RemoveRequest  []string `json:"remove_request"`
		Response       texts    `json:"response"`
		RemoveResponse []string `json:"remove_response"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return h, err
	}
	h.access = func(q *request) error {
		for _, name := range c.RemoveRequest {
			q.clearUpstreamHeader(name)
		}
		for _, name := range slices.Sorted(maps.Keys(c.Request)) {
			q.setUpstreamHeader(name, c.Request[name], []string{blankToSpace(c.Request[name])})
		}
		return nil
	}
	h.headerFilter = func(q *request) {
		for _, name := range c.RemoveResponse {
			q.setHeader(name)
		}
		for _, name := range slices.Sorted(maps.Keys(c.Response)) {
			q.setHeader(name, blankToSpace(c.Response[name]))
		}
	}
	return h, nil
}

// texts is a map whose empty form may be a list, as Lua writes it.
type texts map[string]string

func (t *texts) UnmarshalJSON(b []byte) error {
	if string(b) == "[]" {
		return nil
	}
	return json.Unmarshal(b, (*map[string]string)(t))
}
