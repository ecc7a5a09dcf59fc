package moesif

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestFlights holds the request path to its budget: round trips to Kong per event, the event itself included.
func TestFlights(t *testing.T) {
	json := []string{"Content-Type", "application/json"}
	for _, c := range []struct {
		name    string
		flags   []string
		config  []string
		headers []string
		want    map[string]int // phase -> flights
	}{
		{"full", nil, nil, json, map[string]int{"access": 2, "response": 2, "log": 3}},
		{"full, with a token", nil, nil, append(json, "Authorization", "Bearer "+jwt(`{"sub":"u"}`)), map[string]int{"access": 2, "response": 2, "log": 3}},
		{"no transaction id", nil, []string{"disable_transaction_id: true"}, json, map[string]int{"access": 1, "response": 2, "log": 3}},
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
