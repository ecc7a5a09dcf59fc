package mask

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"kong-go-plugins/moesif/rawjson"
)

// FuzzPath: an entry is refused with a text that names it, or it masks the value that lies where it points.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"$.user.ssn", "items[*].card", `["a.b"]['c']`, "a[3][0].*", ".a", "$", "a..b", "[x", `[""]`, "a]", "$['a'].b", "[99999999999999999999]"} {
		f.Add(s)
	}
	const needle = "s3cr3t-needle"
	f.Fuzz(func(t *testing.T, entry string) {
		if entry == "" || !utf8.ValidString(entry) {
			return // none in a configuration
		}
		m, err := Compile(Rules{Body: []string{entry}})
		if err != nil {
			require.Contains(t, err.Error(), "write ")
			return
		}
		steps := []step{{name: entry, index: -1}}
		if strings.HasPrefix(entry, "$") || strings.ContainsAny(entry, ".[") {
			steps, err = parsePath(entry)
			require.NoError(t, err)
		}
		var document any = needle
		for i := len(steps) - 1; i >= 0; i-- {
			switch s := steps[i]; {
			case s.all:
				document = []any{1, document}
			case s.index >= 100:
				return
			case s.index >= 0:
				document = append(make([]any, s.index), document, 2)
			default:
				document = map[string]any{s.name: document, s.name + "x": 3}
			}
		}
		text, err := json.Marshal(document)
		require.NoError(t, err)
		compact, ok := rawjson.Compact(text)
		if !ok || strings.Contains(entry, "\\") || !strings.Contains(string(compact), needle) {
			return // nested too deep
		}
		shown, _ := m.JSON(nil, compact)
		require.NotContains(t, string(shown), needle, "%s", compact)
		require.True(t, rawjson.Valid(shown))
	})
}
