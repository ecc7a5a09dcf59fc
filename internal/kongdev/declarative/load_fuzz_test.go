package declarative_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/router"
)

// Whatever the file: an error whose every line names a line of the file, or
// entities that hold together.
func FuzzLoad(f *testing.F) {
	whole, err := os.ReadFile("testdata/whole.yml")
	require.NoError(f, err)
	f.Add(whole)
	f.Add([]byte("_format_version: \"2.1\"\nroutes: [{paths: ['/re/\\d+', '/(']}]\n"))
	f.Add([]byte("_format_version: \"3.0\"\nservices: [{name: a, url: 'http://[::1]:1/%41'}]\n"))
	f.Add([]byte("_format_version: \"3.0\"\nplugins:\n- {name: p, config: &a {b: *a}}\n"))
	f.Add([]byte("a: &a\n  <<: [*a, {b: !!binary x, 2: 0x1f, ? [c] : .inf}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := declarative.Parse("kong.yml", data)
		if err != nil {
			var problems declarative.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("error is %T: %v", err, err)
			}
			lines := 1 + strings.Count(string(data), "\n")
			for _, p := range problems {
				if p.File != "kong.yml" || p.Line < 0 || p.Line > lines || p.Text == "" {
					t.Fatalf("problem %+v in a file of %d lines", p, lines)
				}
			}
			return
		}
		if _, err := router.New(d); err != nil {
			t.Fatalf("a loaded file does not route: %v", err)
		}
		ids := map[string]bool{}
		check := func(kind, id string) {
			if !declarative.IsUUID(id) || ids[kind+id] {
				t.Fatalf("%s id %q is no UUID or not unique", kind, id)
			}
			ids[kind+id] = true
		}
		for _, s := range d.Services {
			check("service", s.ID)
			if s.Host == "" || s.Port < 0 || s.Port > 65535 || s.Protocol != "http" && s.Protocol != "https" {
				t.Fatalf("service %+v", s)
			}
		}
		for _, r := range d.Routes {
			check("route", r.ID)
		}
		for _, c := range d.Consumers {
			check("consumer", c.ID)
			for _, cred := range c.Credentials {
				check(cred.Kind, cred.ID)
			}
		}
		for _, p := range d.Plugins {
			check("plugin", p.ID)
			if p.Name == "" || p.Config == nil {
				t.Fatalf("plugin %+v", p)
			}
		}
	})
}
