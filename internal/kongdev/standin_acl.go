package kongdev

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/lua"
	"kong-go-plugins/schema"
)

// aclStandIn lets requests through by group, as Kong's acl: groups that an
// authentication plugin has left in kong.ctx.shared.authenticated_groups, where
// there is no credential or the configuration says so, else the acls of the
// consumer in the configuration file.
var aclStandIn = standIn{ // read-only
	priority: 950,
	phases:   []string{"access"},
	schema: func() schema.Plugin {
		groups := func(name string) schema.Field {
			return schema.Field{Name: name, Type: schema.Array, Elements: &schema.Field{Type: schema.String}}
		}
		return schema.Plugin{Name: "kongdev-acl", Fields: []schema.Field{
			groups("allow"), groups("deny"),
			{Name: "hide_groups_header", Type: schema.Boolean, Required: true, Default: false},
			{Name: "always_use_authenticated_groups", Type: schema.Boolean, Required: true, Default: false},
		}}
	},
	build: buildACL,
}

func buildACL(config json.RawMessage, d *declarative.Config) (h standInHandlers, err error) {
	var c struct {
		Allow      []string `json:"allow"`
		Deny       []string `json:"deny"`
		HideHeader bool     `json:"hide_groups_header"`
		AlwaysUse  bool     `json:"always_use_authenticated_groups"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return h, err
	}
	if (len(c.Allow) > 0) == (len(c.Deny) > 0) {
		return h, errors.New("allow, deny: want one of them, with groups")
	}
	acls := map[string][]string{} // by consumer id
	for _, consumer := range d.Consumers {
		for _, credential := range consumer.Credentials {
			if group, ok := credential.Fields["group"].(string); ok && credential.Kind == "acls" {
				acls[consumer.ID] = append(acls[consumer.ID], group)
			}
		}
	}
	h.access = func(q *request) error {
		groups, header, known := []string(nil), "X-Consumer-Groups", false
		if q.ctx.credential == nil || c.AlwaysUse {
			if groups, known = textsOf(q.shared.get("authenticated_groups")); known {
				header = "X-Authenticated-Groups"
			}
		}
		if !known {
			consumer, _ := q.ctx.consumer.(*lua.Table)
			id, _ := consumer.Get("id").(string)
			if id == "" {
				return q.refuseStandIn(http.StatusUnauthorized, "Unauthorized")
			}
			groups = acls[id]
		}
		in := func(list []string) bool {
			return slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(list, g) })
		}
		if len(c.Allow) > 0 && !in(c.Allow) || in(c.Deny) {
			return q.refuseStandIn(http.StatusForbidden, "You cannot consume this service")
		}
		q.clearUpstreamHeader("X-Consumer-Groups")
		q.clearUpstreamHeader("X-Authenticated-Groups")
		if text := strings.Join(groups, ", "); !c.HideHeader && text != "" {
			q.setUpstreamHeader(header, text, []string{cleanHeader(text)})
		}
		return nil
	}
	return h, nil
}

// textsOf is a Lua list of texts.
func textsOf(v lua.Value) (texts []string, ok bool) {
	t, ok := v.(*lua.Table)
	if !ok {
		return nil, false
	}
	for _, item := range t.List {
		if text, ok := item.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts, true
}

// refuseStandIn answers the request with an error of Kong's.
func (q *request) refuseStandIn(status int, message string) error {
	reply, _ := q.errorReply(status, message, lua.NewFields(nil)) // the status is one of ours
	q.ctx.exited = true
	return &exitSignal{reply}
}
