package store

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParseLines: what is read can be written and read again to the same, and an error shows nothing of the file.
func FuzzParseLines(f *testing.F) {
	f.Add([]byte(`{"format":"keyauth-keys","version":1}
{"consumer":{"id":"c","username":"alice","tags":["a"]}}
{"key":{"id":"1","hash":"sha256::ypeBEsobvcr6wjGzmiPcTaeG7_gUfE5yuYB3ha_uSLs","consumer":"c","cidrs":["10.0.0.0/8"]}}
{"delete_key":{"id":"1","hash":"sha256::ypeBEsobvcr6wjGzmiPcTaeG7_gUfE5yuYB3ha_uSLs"}}
{"delete_consumer":{"id":"c"}}
`))
	f.Add([]byte(`{"format":"keyauth-keys","version":1}` + "\n{\"key\":\"SECRETSECRET\"}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, err := parseLines(data, 1)
		if err != nil {
			if bytes.Contains(data, []byte(`"SECRETSECRET"`)) && strings.Contains(err.Error(), "SECRET") && !strings.Contains(err.Error(), "unknown field") {
				t.Errorf("the error shows the file's content: %v", err)
			}
			return
		}
		var text []byte
		for _, l := range lines {
			text = appendLine(text, l)
		}
		again, err := parseLines(text, 1)
		require.NoError(t, err)
		var twice []byte
		for _, l := range again {
			twice = appendLine(twice, l)
		}
		require.Equal(t, string(text), string(twice))
	})
}
