package kongdev

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/lua"
)

// clientMethods are kong.client and kong.router.
var clientMethods = map[string]pdkMethod{ // read-only
	"kong.client.get_ip":             {anyPhase, false, textCall(func(q *request) (lua.Value, error) { return q.clientIP, nil })},
	"kong.client.get_forwarded_ip":   {anyPhase, false, textCall(func(q *request) (lua.Value, error) { return q.clientIP, nil })},
	"kong.client.get_port":           {anyPhase, false, intCall(func(q *request) (int, error) { return q.clientTCP, nil })},
	"kong.client.get_forwarded_port": {anyPhase, false, intCall(func(q *request) (int, error) { return q.clientTCP, nil })},
	"kong.client.get_credential": {authAndLater, true, func(ev *event, _ []byte) ([]byte, error) {
		return encodeEntity(ev.req.ctx.credential, credentialFields)
	}},
	"kong.client.get_consumer": {authAndLater, true, func(ev *event, _ []byte) ([]byte, error) {
		return encodeEntity(ev.req.ctx.consumer, consumerFields)
	}},
	"kong.client.load_consumer": {authAndLater, true, loadConsumer},
	"kong.client.authenticate": {phaseAccess, false, func(ev *event, args []byte) ([]byte, error) {
		consumer, credential, err := decodeAuthenticate(args)
		if err != nil {
			return nil, err
		}
		if consumer == nil && credential == nil {
			return nil, lua.Raise("either credential or consumer must be provided")
		}
		ev.req.ctx.consumer, ev.req.ctx.credential = consumer, credential
		return nil, nil
	}},
	"kong.client.get_protocol": {authAndLater, true, textCall(func(q *request) (lua.Value, error) {
		r := q.route()
		switch {
		case r == nil:
			return nil, nil // Kong's error text is lost on the way
		case len(r.Protocols) == 1:
			return r.Protocols[0], nil
		case q.phase == phaseLog:
			return nil, errTimer
		}
		return q.scheme(), nil
	})},
	"kong.router.get_route": {authAndLater, true, func(ev *event, _ []byte) ([]byte, error) {
		r := ev.req.route()
		if r == nil {
			return nil, nil
		}
		return encodeRoute(r), nil
	}},
	"kong.router.get_service": {authAndLater, true, func(ev *event, _ []byte) ([]byte, error) {
		s := ev.req.service()
		if s == nil {
			return nil, nil
		}
		return encodeService(s), nil
	}},
}

// An entityField is a field of a protocol message that Kong fills from a Lua
// table: its number and the Lua type it must have.
type entityField struct {
	num  protowire.Number
	kind string // string, number or list
}

var (
	consumerFields   = map[string]entityField{"id": {1, "string"}, "created_at": {2, "number"}, "username": {3, "string"}, "custom_id": {4, "string"}, "tags": {5, "list"}} // read-only
	credentialFields = map[string]entityField{"id": {1, "string"}, "consumer_id": {2, "string"}}                                                                            // read-only
)

// encodeEntity writes a table as a message; other fields are left out, a field
// of the wrong type is a Lua error.
func encodeEntity(v lua.Value, fields map[string]entityField) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	t, ok := v.(*lua.Table)
	if !ok {
		return nil, lua.Raise("bad argument #2 to 'encode' (table expected, got %s)", lua.TypeOf(v))
	}
	var out []byte
	for _, name := range [...]string{"id", "created_at", "username", "custom_id", "consumer_id", "tags"} {
		f, known := fields[name]
		v := t.Get(name)
		if !known || v == nil {
			continue
		}
		switch v := v.(type) {
		case string:
			if f.kind == "string" {
				out = appendText(out, f.num, v)
				continue
			}
		case float64:
			if f.kind == "number" {
				out = appendInt(out, f.num, int64(v))
				continue
			}
		case *lua.Table:
			if f.kind == "list" {
				for _, item := range v.List {
					s, _ := item.(string)
					out = protowire.AppendString(protowire.AppendTag(out, f.num, protowire.BytesType), s)
				}
				continue
			}
		}
		return nil, lua.Raise("bad argument #2 to 'encode' (%s expected for field '%s', got %s)", f.kind, name, lua.TypeOf(v))
	}
	return out, nil
}

func loadConsumer(ev *event, args []byte) ([]byte, error) {
	id, byName, err := textAndInt(args)
	if err != nil {
		return nil, err
	}
	if !declarative.IsUUID(id) && byName == 0 {
		return nil, lua.Raise("cannot load a consumer with an id that is not a uuid")
	}
	consumers := ev.req.gen.config.Consumers
	i := slices.IndexFunc(consumers, func(c *declarative.Consumer) bool { return declarative.IsUUID(id) && c.ID == strings.ToLower(id) })
	if i < 0 && byName != 0 {
		i = slices.IndexFunc(consumers, func(c *declarative.Consumer) bool { return c.Username == id })
	}
	if i < 0 {
		return nil, nil
	}
	return encodeEntity(consumerTable(consumers[i]), consumerFields)
}

func consumerTable(c *declarative.Consumer) *lua.Table {
	t := map[string]lua.Value{"id": c.ID, "created_at": float64(c.CreatedAt)}
	if c.Username != "" {
		t["username"] = c.Username
	}
	if c.CustomID != "" {
		t["custom_id"] = c.CustomID
	}
	if c.Tags != nil {
		t["tags"] = stringList(c.Tags)
	}
	return lua.NewFields(t)
}

func encodeRoute(r *declarative.Route) []byte {
	b := appendText(nil, 1, r.ID)
	b = appendInt(b, 2, r.CreatedAt)
	b = appendInt(b, 3, r.UpdatedAt)
	b = appendText(b, 4, r.Name)
	b = appendStrings(b, 5, r.Protocols)
	b = appendStrings(b, 6, r.Methods)
	b = appendStrings(b, 7, r.Hosts)
	b = appendStrings(b, 8, r.Paths)
	b = appendInt(b, 10, int64(r.HTTPSRedirectStatusCode))
	b = appendInt(b, 11, int64(r.RegexPriority))
	b = appendBool(b, 12, r.StripPath)
	b = appendBool(b, 13, r.PreserveHost)
	b = appendStrings(b, 14, r.SNIs)
	b = appendStrings(b, 17, r.Tags)
	if r.Service != nil {
		b = protowire.AppendBytes(protowire.AppendTag(b, 18, protowire.BytesType), appendText(nil, 1, r.Service.ID))
	}
	return b
}

func encodeService(s *declarative.Service) []byte {
	b := appendText(nil, 1, s.ID)
	b = appendInt(b, 2, s.CreatedAt)
	b = appendInt(b, 3, s.UpdatedAt)
	b = appendText(b, 4, s.Name)
	b = appendInt(b, 5, int64(s.Retries))
	b = appendText(b, 6, s.Protocol)
	b = appendText(b, 7, s.Host)
	b = appendInt(b, 8, int64(s.Port))
	b = appendText(b, 9, s.Path)
	b = appendInt(b, 10, int64(s.ConnectTimeout))
	b = appendInt(b, 11, int64(s.WriteTimeout))
	b = appendInt(b, 12, int64(s.ReadTimeout))
	return appendStrings(b, 13, s.Tags)
}

func appendStrings(b []byte, num protowire.Number, list []string) []byte {
	for _, s := range list {
		b = protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
	}
	return b
}

func appendBool(b []byte, num protowire.Number, v bool) []byte {
	if v {
		return appendInt(b, num, 1)
	}
	return b
}
