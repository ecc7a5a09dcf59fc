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

// FuzzParseEvent: what Kong would write is read back, whatever the key.
func FuzzParseEvent(f *testing.F) {
	const id = "0dca7a5e-0000-4000-8000-000000000001"
	f.Add("a", "keyauth_credentials:a:::::"+id)
	f.Add(":::::"+id, "")
	f.Fuzz(func(t *testing.T, value, data string) {
		entity, got, ok := parseEvent("keyauth_credentials:" + value + ":::::" + id)
		require.True(t, ok)
		require.Equal(t, "keyauth_credentials", entity)
		require.Equal(t, value, got)
		if entity, value, ok := parseEvent(data); ok {
			require.Equal(t, entity+":"+value, data[:len(data)-len(":::::")-len(id)])
		}
	})
}

// FuzzParseChange: a message that is not understood means that anything may have changed.
func FuzzParseChange(f *testing.F) {
	f.Add("key ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0")
	f.Add("consumer c1")
	f.Add("all")
	f.Fuzz(func(t *testing.T, text string) {
		c := parseChange(text)
		switch {
		case c.All:
		case c.ConsumerID != "":
			require.Equal(t, "consumer "+c.ConsumerID, text)
		default:
			require.True(t, strings.HasPrefix(text, "key "))
		}
	})
}
