package kongdev

import (
	"encoding/json"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/lua"
	"kong-go-plugins/schema"
)

// terminateStandIn answers every request, as Kong's request-termination does.
var terminateStandIn = standIn{ // read-only
	priority: 2,
	phases:   []string{"access"},
	schema: func() schema.Plugin {
		return schema.Plugin{Name: "kongdev-terminate", Fields: []schema.Field{
			{Name: "status_code", Type: schema.Integer, Required: true, Default: 503, Between: []float64{100, 599}},
			{Name: "message", Type: schema.String},
			{Name: "content_type", Type: schema.String},
			{Name: "body", Type: schema.String},
			{Name: "trigger", Type: schema.String},
		}}
	},
	build: buildTerminate,
}

// terminateTexts are the messages where a configuration has none.
var terminateTexts = map[int]string{ // read-only
	401: "Unauthorized", 404: "Not found", 405: "Method not allowed", 500: unexpectedError, 502: "Bad Gateway", 503: "Service unavailable",
}

func buildTerminate(config json.RawMessage, _ *declarative.Config) (h standInHandlers, err error) {
	var c struct {
		Status      int     `json:"status_code"`
		Message     string  `json:"message"`
		ContentType string  `json:"content_type"`
		Body        *string `json:"body"`
		Trigger     string  `json:"trigger"` // only requests with this header or argument
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return h, err
	}
	if c.Message == "" {
		c.Message = terminateTexts[c.Status]
	}
	var body []byte
	headers := map[string]lua.Value{}
	switch {
	case c.Body != nil:
		body = []byte(*c.Body)
		if c.ContentType != "" {
			headers["Content-Type"] = c.ContentType
		}
	case c.Message != "":
		body = lua.AppendJSON(nil, map[string]any{"message": c.Message})
		headers["Content-Type"] = typeJSON
	}
	h.access = func(q *request) error {
		if c.Trigger != "" && lookup(q.headers.Table(defaultMax), c.Trigger) == nil && parseArgs(q.args, defaultMax).Fields[c.Trigger] == nil {
			return nil
		}
		q.ctx.exited = true
		return &exitSignal{&kongReply{c.Status, body, lua.NewFields(headers)}}
	}
	return h, nil
}
