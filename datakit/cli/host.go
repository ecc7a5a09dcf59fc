package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"kong-go-plugins/datakit"
)

// offlineHost is the gateway for a request that never was: properties are what a file says, and what the workflow sets.
type offlineHost struct {
	request    *request
	response   *response // of the upstream; nil in the access phase
	properties map[string]any
	defaults   map[string]any // of properties that no file mentions
	gateway    *gateway
	written    []written
	logged     []string
}

// A written property.
type written struct {
	name  string
	value any
}

var _ datakit.Host = (*offlineHost)(nil)

// newHost returns a gateway that got a request.
func newHost(r *request, properties map[string]any, g *gateway) *offlineHost {
	return &offlineHost{request: r, properties: properties, gateway: g, defaults: map[string]any{
		"kong.client.ip": "127.0.0.1", "kong.client.forwarded_ip": "127.0.0.1", "kong.client.port": 50000, "kong.client.forwarded_port": 50000,
		"kong.client.protocol": r.scheme, "kong.request.forwarded_host": strings.Split(r.host, ":")[0], "kong.request.forwarded_scheme": r.scheme,
		"kong.request.forwarded_port": r.port(), "kong.request.port": r.port(), "kong.response.source": "service",
		"kong.nginx.subsystem": "http", "kong.version": "3.9.1", "kong.node.id": "00000000-0000-0000-0000-000000000000",
	}}
}

// Request implements datakit.Host.
func (h *offlineHost) Request(datakit.Ports) (datakit.Message, error) {
	r := h.request
	return datakit.Message{
		Header: r.header, RawQuery: r.query(), Body: []byte(r.body), Size: int64(len(r.body)), TraceParent: r.header.Get("Traceparent"),
		Path: r.path(), RawPath: r.path(), Method: r.method, Scheme: r.scheme, Port: r.port(), Version: r.proto,
	}, nil
}

// ServiceResponse implements datakit.Host.
func (h *offlineHost) ServiceResponse(datakit.Ports) (datakit.Message, error) {
	r := h.response
	return datakit.Message{Status: r.status, Header: r.header, Body: []byte(r.body), Size: int64(len(r.body))}, nil
}

// Property implements datakit.Host.
func (h *offlineHost) Property(name string) (any, error) {
	if v, ok := h.properties[name]; ok {
		return v, nil
	}
	for _, entity := range []string{"route", "service"} {
		m, _ := h.properties["kong.router."+entity].(map[string]any)
		switch name {
		case "kong." + entity + "_id":
			return m["id"], nil
		case "kong." + entity + "_name":
			return m["name"], nil
		}
	}
	if name == "kong.service.response.status" && h.response != nil {
		return h.response.status, nil
	}
	return h.defaults[name], nil
}

// SetProperty implements datakit.Host.
func (h *offlineHost) SetProperty(name string, value any) error {
	if name == "kong.service.upstream" && h.gateway != nil {
		text, _ := value.(string)
		if _, ok := h.gateway.upstreams[text]; !ok {
			return fmt.Errorf("there is no upstream %q", short(text))
		}
	}
	if name == "kong.client.consumer" {
		m, _ := value.(map[string]any)
		id, _ := m["id"].(string)
		username, _ := m["username"].(string)
		if id == "" && username == "" {
			return errors.New("kong.client.consumer: open-source Kong finds a consumer by id or username, not by custom_id")
		}
	}
	h.written = append(h.written, written{name, value})
	properties := make(map[string]any, len(h.properties)+1)
	for k, v := range h.properties {
		properties[k] = v
	}
	properties[name] = value
	h.properties = properties
	return nil
}

// Log implements datakit.Host.
func (h *offlineHost) Log(level slog.Level, text string) {
	h.logged = append(h.logged, strings.ToLower(level.String())+": "+text)
}

// target is the host:port that the workflow sends the request to, "" when it leaves that to the route.
func (h *offlineHost) target() (target string) {
	for _, w := range h.written {
		text, _ := w.value.(string)
		switch w.name {
		case "kong.service.target":
			target = text
		case "kong.service.upstream":
			target = text
			if h.gateway != nil {
				target = h.gateway.upstreams[text]
			}
		}
	}
	return target
}
