package admin

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

//go:generate go test -run TestReferencePage -update .

const (
	referencePage = "../../docs/keyauth-admin-api.md"
	beginRoutes   = "<!-- generated: keyauth admin routes -->\n"
	endRoutes     = "<!-- end generated: keyauth admin routes -->"
)

// The page's table of endpoints is made of the routes, and the page names every field.
func TestReferencePage(t *testing.T) {
	text, err := os.ReadFile(referencePage)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), beginRoutes)
	require.True(t, found)
	_, after, found := strings.Cut(rest, endRoutes)
	require.True(t, found)
	page := before + beginRoutes + "\n" + routeTable() + "\n" + endRoutes + after
	if *update {
		require.NoError(t, os.WriteFile(referencePage, []byte(page), 0o644))
	} else {
		assert.Equal(t, page, string(text), "the table is out of date: make generate")
	}
	for _, shape := range []any{consumerShape{}, credentialShape{}, seedCredentialShape{}} {
		for i := range reflect.TypeOf(shape).NumField() {
			name, _, _ := strings.Cut(reflect.TypeOf(shape).Field(i).Tag.Get("json"), ",")
			assert.Contains(t, page, "`"+name+"`", "a field")
		}
	}
}

func routeTable() string {
	var b strings.Builder
	b.WriteString("| endpoint | answer | |\n|---|---|---|\n")
	for _, r := range routes {
		note := r.summary
		switch {
		case r.seed:
			note += " With `-shapes seed` only."
		case r.ours:
			note += " Not in Kong."
		}
		fmt.Fprintf(&b, "| `%s %s` | %s | %s |\n", r.method, r.pattern, r.answers, note)
	}
	return b.String()
}
