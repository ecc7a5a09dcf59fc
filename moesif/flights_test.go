package moesif

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestFlights holds the request path to its budget: round trips to Kong per event, the event itself included.
func TestFlights(t *testing.T) {
	json := []string{"Content-Type", "application/json"}
	const noID, noRequest, noResponse = "disable_transaction_id: true", "disable_capture_request_body: true", "disable_capture_response_body: true"
	for _, c := range []struct {
		name    string
		flags   []string
		config  []string
		headers []string
		want    map[string]int // phase -> flights
	}{
		{"full", nil, nil, json, map[string]int{"access": 2, "response": 2, "log": 2}},
		{"full, with a token", nil, nil, append(json, "Authorization", "Bearer "+jwt(`{"sub":"u"}`)), map[string]int{"access": 2, "response": 2, "log": 2}},
		{"no transaction id", nil, []string{noID}, json, map[string]int{"access": 2, "response": 1, "log": 2}},
		{"no transaction id, buffering left alone", []string{"-buffer", "always"}, []string{noID}, json, map[string]int{"access": 1, "response": 1, "log": 2}},
		{"no bodies", nil, []string{noRequest, noResponse}, json, map[string]int{"access": 2, "log": 2}},
		{"no bodies, no transaction id", nil, []string{noRequest, noResponse, noID}, json, map[string]int{"access": 1, "log": 2}},
		{"no response bodies", nil, []string{noResponse}, json, map[string]int{"access": 3, "log": 2}},
		{"an event stream", nil, []string{noRequest}, append(json, "Accept", "text/event-stream"), map[string]int{"access": 3, "log": 2}},
		{"without response", []string{"-phases", "access,log"}, nil, json, map[string]int{"access": 3, "log": 2}},
		{"without response, no bodies", []string{"-phases", "access,log"}, []string{noRequest}, json, map[string]int{"access": 2, "log": 2}},
		{"on demand", []string{"-phases", "access,log", "-buffer", "on-demand"}, nil, json, map[string]int{"access": 3, "log": 2}},
		{"log only", []string{"-phases", "log"}, nil, json, map[string]int{"log": 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := startGateway(t, builtPlugin, c.flags, c.config...)
			for range 3 { // the first one starts the instance
				r := g.send("POST", "/json", `{"a":1}`, c.headers...)
				for phase, want := range c.want {
					assert.LessOrEqualf(t, g.Flights(r, "moesif", phase), want, "%s: %v", phase, g.Calls(r, phase))
				}
				events := 0
				for _, e := range g.Trace(r).Events {
					if e.Plugin == "moesif" {
						events++
						assert.Contains(t, c.want, e.Phase, "no other phase is on the request's path")
					}
				}
				assert.Equal(t, len(c.want), events)
			}
			g.Events(3)
		})
	}
}
