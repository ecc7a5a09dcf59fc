package datakit

import (
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// gatewaySettings are Kong's, which the plugin protocol does not tell: KONG_<NAME> in the plugin's environment, where an
// operator may put them, or else in the file that Kong leaves in its prefix for its own commands. A reload of Kong starts
// the plugin anew, so that the file is read once.
type gatewaySettings struct {
	prefix *flag.Flag // -kong-prefix; nil under other servers

	once sync.Once
	file map[string]string
}

// settingsFile is where Kong keeps what it runs with, as lines name = value.
// Source: kong/cmd/utils/prefix_handler.lua of Kong 3.9.1.
const settingsFile = ".kong_env"

const maxSettingsFile = 1 << 20

// get is a setting as kong.configuration has it: text, number or boolean; nil for none and for what may be a secret.
func (g *gatewaySettings) get(name string) any {
	for _, word := range []string{"password", "secret", "key", "token", "credential", "license"} {
		if strings.Contains(strings.ToLower(name), word) {
			return nil
		}
	}
	text := os.Getenv("KONG_" + strings.ToUpper(name))
	if text == "" {
		g.once.Do(g.read)
		text = g.file[strings.ToLower(name)]
	}
	switch {
	case text == "":
		return nil
	case text == "true", text == "false":
		return text == "true"
	}
	if n, ok := numberOf(text); ok && len(text) <= 15 {
		return n.(json.Number)
	}
	return valid(text)
}

// isOn reports whether a setting is switched on.
func (g *gatewaySettings) isOn(name string) bool {
	switch v := g.get(name).(type) {
	case bool:
		return v
	case string:
		return strings.EqualFold(v, "on") || strings.EqualFold(v, "yes")
	case json.Number:
		return v == "1"
	}
	return false
}

func (g *gatewaySettings) read() {
	if g.prefix == nil {
		return
	}
	f, err := os.Open(filepath.Join(g.prefix.Value.String(), settingsFile))
	if err != nil {
		return // not Kong, or not readable for this user: nothing is known
	}
	defer func() { _ = f.Close() }()
	text, _ := io.ReadAll(io.LimitReader(f, maxSettingsFile))
	g.file = map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); ok && !strings.HasPrefix(name, "#") {
			g.file[strings.ToLower(name)] = strings.ReplaceAll(strings.TrimSpace(value), `\#`, "#")
		}
	}
}
