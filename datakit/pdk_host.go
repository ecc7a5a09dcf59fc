package datakit

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/bridge"
	"github.com/Kong/go-pdk/entities"
	"github.com/Kong/go-pdk/server/kong_plugin_protocol"

	"kong-go-plugins/internal/pluginserver"
)

// maxHeaders is the most that Kong gives.
const maxHeaders = 1000

// pdkHost is Kong, through its PDK, for one event.
type pdkHost struct {
	kong    *pdk.PDK
	maxBody int
	plugin  map[string]any // kong.ctx.plugin, which Kong has for Lua plugins only

	settings *gatewaySettings
}

var _ Host = (*pdkHost)(nil)

// requestQuestions are what Request will ask, so that all leaves in one flight.
func requestQuestions(want Ports) []pluginserver.Question {
	var list []pluginserver.Question
	for _, q := range []struct {
		port string
		ask  pluginserver.Question
	}{
		{"headers", pluginserver.AskHeaders(maxHeaders)}, {"query", pluginserver.AskRawQuery()}, {"body", pluginserver.AskRequestBody()},
		{"path", pluginserver.AskPath()}, {"raw_path", pluginserver.AskVar("request_uri")}, {"method", pluginserver.AskMethod()},
		{"scheme", pluginserver.AskVar("scheme")}, {"port", pluginserver.AskVar("server_port")}, {"version", pluginserver.AskVar("server_protocol")},
		{traceParent, pluginserver.AskVar(traceParentVariable)},
	} {
		if want[q.port] {
			list = append(list, q.ask)
		}
	}
	if want["body"] && !want["headers"] {
		list = append(list, pluginserver.AskVar(contentTypeVariable))
	}
	return list
}

// Variables of nginx.
const (
	contentTypeVariable    = "http_content_type"
	acceptEncodingVariable = "http_accept_encoding"
	requestIDVariable      = "kong_request_id"
	traceVariable          = "http_x_datakit_debug_trace"
	traceParentVariable    = "http_traceparent"
	upstreamSchemeVariable = "upstream_scheme" // Kong's own: the service's protocol
)

// Request implements Host.
func (h *pdkHost) Request(want Ports) (m Message, err error) {
	note := func(e error) { err = errors.Join(err, e) }
	variable := func(port, name string) (s string) {
		if want[port] {
			var e error
			s, e = pluginserver.Var(h.kong, name)
			note(e)
		}
		return s
	}
	var e error
	if want["headers"] {
		m.Header, e = pluginserver.Headers(h.kong, maxHeaders)
		note(e)
	}
	if want["query"] {
		m.RawQuery, e = pluginserver.RawQuery(h.kong)
		note(e)
	}
	if want["body"] {
		m.Body, m.Size, e = pluginserver.RequestBody(h.kong, int64(h.maxBody))
		note(e)
		if !want["headers"] {
			m.Header = map[string][]string{"content-type": {variable("body", contentTypeVariable)}}
		}
	}
	if want["path"] {
		m.Path, e = pluginserver.Path(h.kong)
		note(e)
	}
	if want["method"] {
		m.Method, e = pluginserver.Method(h.kong)
		note(e)
	}
	m.RawPath, _, _ = strings.Cut(variable("raw_path", "request_uri"), "?")
	m.Scheme = variable("scheme", "scheme")
	m.TraceParent = variable(traceParent, traceParentVariable)
	if want["port"] {
		m.Port, _ = strconv.Atoi(variable("port", "server_port"))
	}
	if want["version"] {
		m.Version, _ = strconv.ParseFloat(strings.TrimPrefix(variable("version", "server_protocol"), "HTTP/"), 64)
	}
	return m, err
}

// responseQuestions are what ServiceResponse will ask.
func responseQuestions(want Ports) []pluginserver.Question {
	var list []pluginserver.Question
	if want["headers"] || want["body"] {
		list = append(list, pluginserver.AskResponseHeaders(maxHeaders))
	}
	if want["body"] || want["raw_body"] {
		list = append(list, pluginserver.AskResponseBody())
	}
	return list
}

// ServiceResponse implements Host.
func (h *pdkHost) ServiceResponse(want Ports) (m Message, err error) {
	if want["headers"] || want["body"] {
		if m.Header, err = pluginserver.ResponseHeaders(h.kong, maxHeaders); err != nil {
			return m, err
		}
	}
	if want["status"] {
		if m.Status, err = h.kong.ServiceResponse.GetStatus(); err != nil {
			return m, err
		}
	}
	if want["body"] || want["raw_body"] {
		m.Body, m.Size, err = pluginserver.ResponseBody(h.kong, int64(h.maxBody))
	}
	return m, err
}

// Log implements Host.
func (h *pdkHost) Log(level slog.Level, text string) {
	text = "datakit: " + valid(text)
	if level >= slog.LevelError {
		_ = h.kong.Log.Err(text)
	} else {
		_ = h.kong.Log.Warn(text)
	}
}

// Property implements Host.
func (h *pdkHost) Property(name string) (any, error) {
	if key, ok := strings.CutPrefix(name, ctxPlugin); ok {
		return h.plugin[key], nil
	}
	if key, ok := strings.CutPrefix(name, ctxShared); ok {
		v, err := h.kong.Ctx.GetSharedAny(key)
		return v, err
	}
	if key, ok := strings.CutPrefix(name, "kong.configuration."); ok {
		return h.settings.get(key), nil
	}
	k := h.kong
	switch name {
	case "kong.client.consumer":
		c, err := k.Client.GetConsumer()
		if err != nil || c.Id == "" {
			return nil, err
		}
		return compact(c)
	case "kong.client.credential":
		c, err := k.Client.GetCredential()
		if err != nil || c.Id == "" {
			return nil, err
		}
		return compact(map[string]any{"id": c.Id, "consumer_id": c.ConsumerId})
	case "kong.client.ip":
		return text(k.Client.GetIp())
	case "kong.client.forwarded_ip":
		return text(k.Client.GetForwardedIp())
	case "kong.client.port":
		return number(k.Client.GetPort())
	case "kong.client.forwarded_port":
		return number(k.Client.GetForwardedPort())
	case "kong.client.protocol":
		return text(k.Client.GetProtocol(true))
	case "kong.request.forwarded_host":
		return text(k.Request.GetForwardedHost())
	case "kong.request.forwarded_scheme":
		return text(k.Request.GetForwardedScheme())
	case "kong.request.forwarded_port":
		return number(k.Request.GetForwardedPort())
	case "kong.request.port":
		return number(k.Request.GetPort())
	case "kong.response.source":
		return text(k.Response.GetSource())
	case "kong.service.response.status":
		return number(k.ServiceResponse.GetStatus())
	case "kong.router.route", "kong.route_id", "kong.route_name":
		r, err := k.Router.GetRoute()
		return entity(r, r.Id, r.Name, name, err)
	case "kong.router.service", "kong.service_id", "kong.service_name":
		s, err := k.Router.GetService()
		return entity(s, s.Id, s.Name, name, err)
	case "kong.version":
		return orNil(os.Getenv("KONG_VERSION")), nil
	case "kong.nginx.subsystem":
		return text(k.Nginx.GetSubsystem())
	case "kong.node.id":
		return text(k.Node.GetId())
	case "kong.node.memory_stats":
		stats, err := k.Node.GetMemoryStats()
		if err != nil {
			return nil, err
		}
		return plainJSON(stats)
	}
	return nil, fmt.Errorf("%s cannot be read", name)
}

// entity is a route or a service, or the part of it that a property names.
func entity(e any, id, name, property string, err error) (any, error) {
	switch {
	case err != nil || id == "":
		return nil, err
	case strings.HasSuffix(property, "_id"):
		return id, nil
	case strings.HasSuffix(property, "_name"):
		return orNil(name), nil
	}
	return compact(e)
}

func text(s string, err error) (any, error) { return orNil(valid(s)), err }

func number(n int, err error) (any, error) { return n, err }

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// plainJSON makes a value that flows of any Go value.
func plainJSON(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return decodeJSON(b)
}

// compact is plainJSON without members that are empty: Kong does not tell absent from empty.
func compact(v any) (any, error) {
	plain, err := plainJSON(v)
	m, ok := plain.(map[string]any)
	if err != nil || !ok {
		return plain, err
	}
	for key, e := range m {
		switch e := e.(type) {
		case nil:
			delete(m, key)
		case string:
			if e == "" {
				delete(m, key)
			}
		case map[string]any:
			if id, is := e["id"].(string); is && id == "" {
				delete(m, key)
			}
		}
	}
	return m, nil
}

// SetProperty implements Host.
func (h *pdkHost) SetProperty(name string, value any) error {
	if key, ok := strings.CutPrefix(name, ctxPlugin); ok {
		if h.plugin == nil {
			h.plugin = map[string]any{}
		}
		h.plugin[key] = value
		return nil
	}
	if key, ok := strings.CutPrefix(name, ctxShared); ok {
		left := math.MaxInt
		if !fits(value, &left, maxSharedDepth) {
			return plainError(fmt.Sprintf("%s: nested deeper than %d levels, which the gateway does not take; content_type: application/json makes a text of it", name, maxSharedDepth))
		}
		v := luaValue(value)
		if v == nil {
			v = false // which Kong reads as nothing; what is null for its protocol it reads as a text
		}
		return h.kong.Ctx.SetShared(key, v)
	}
	switch name {
	case "kong.service.target":
		host, port, err := splitTarget(value.(string))
		if err != nil {
			return err
		}
		return h.kong.Service.SetTarget(host, port)
	case "kong.service.upstream":
		return h.setUpstream(value.(string))
	case "kong.service.request.scheme":
		return h.kong.ServiceRequest.SetScheme(value.(string))
	case "kong.client.consumer":
		m, _ := value.(map[string]any)
		return h.setConsumer(m)
	}
	return fmt.Errorf("%s cannot be set", name)
}

// setUpstream asks Kong itself: the PDK's method forgets the answer, which says whether there is such an upstream.
func (h *pdkHost) setUpstream(name string) error {
	if name == "" || valid(name) != name {
		return errors.New("kong.service.upstream: expected the name of an upstream")
	}
	var found kong_plugin_protocol.Bool
	if err := h.kong.Service.Ask("kong.service.set_upstream", bridge.WrapString(name), &found); err != nil {
		return err
	}
	if !found.V {
		return fmt.Errorf("there is no upstream %q", shortened(name))
	}
	return nil
}

// setConsumer makes a consumer of Kong the request's. Kong finds one by id or username only.
func (h *pdkHost) setConsumer(m map[string]any) error {
	id, _ := m["id"].(string)
	username, _ := m["username"].(string)
	wanted, byUsername := id, false
	if !isUUID(id) {
		if wanted, byUsername = username, true; username == "" {
			wanted = id
		}
	}
	if wanted == "" {
		return errors.New("kong.client.consumer: open-source Kong finds a consumer by id or username, not by custom_id")
	}
	if valid(wanted) != wanted {
		return errors.New("kong.client.consumer: the name is not UTF-8")
	}
	c, err := h.kong.Client.LoadConsumer(wanted, byUsername)
	if err != nil {
		return err
	}
	if c.Id == "" {
		return errors.New("kong.client.consumer: there is no such consumer")
	}
	// The consumer was named, not proven by a credential: one of another plugin is not this consumer's, so there is none.
	return pluginserver.Authenticate(h.kong, &entities.Consumer{Id: c.Id, CreatedAt: c.CreatedAt, Username: c.Username, CustomId: c.CustomId, Tags: c.Tags}, nil)
}

// isUUID reports whether Kong takes s as the id of an entity.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (s[i] == '-') || !dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// maxSharedDepth is how deep a value for Lua may be nested. Its stack ends below a hundred levels, and with it the request.
const maxSharedDepth = 50

// luaValue makes a value that Kong takes: Lua has doubles only, and objects without a member for null. A null in a list
// stays: in Lua a list ends where it has nothing, and Kong makes the text NULL_VALUE of it.
func luaValue(v any) any {
	switch v := v.(type) {
	case nil, bool:
		return v
	case string:
		return valid(v)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = luaValue(e)
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, e := range v {
			if e := luaValue(e); e != nil {
				m[valid(key)] = e
			}
		}
		return m
	}
	f, _ := floatOf(v)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return f
}
