package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whatever a file holds: the body for the APIs is JSON with the configuration that the file has, and no form panics.
func FuzzRender(f *testing.F) {
	f.Add([]byte(difficult))
	f.Add([]byte("plugins: [{name: moesif, config: {a: 2001-01-01, b: .inf, c: 0x10, ~: 1}}]"))
	f.Add([]byte("plugins: [{name: a, service: {name: b}, config: &x {<<: [{a: 1}], b: *y}}]"))
	f.Add([]byte("x: &a [*a]\nplugins: [{name: a}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parse(text)
		if err != nil {
			return
		}
		for _, tool := range tools() {
			_, _ = tool.render(d)
		}
		for _, p := range d.plugins {
			if p.config == nil {
				continue
			}
			var b bytes.Buffer
			if writeJSON(&b, p.config) != nil {
				continue
			}
			var v any
			require.NoError(t, p.config.Decode(&v))
			want, err := json.Marshal(v)
			if err != nil { // a key that is no text
				continue
			}
			assert.True(t, json.Valid(b.Bytes()), b.String())
			if !bytes.Contains(want, []byte("T00:00:00Z")) { // dates stay texts
				assert.JSONEq(t, string(want), b.String())
			}
		}
	})
}
