package main

import (
	"fmt"
	"strings"
)

const written = "Written from kong.yml by examples/render: change that, then run make generate."

// adminAPI is a script for the API of a gateway with a database.
func adminAPI(d document) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "#!/usr/bin/env bash\n# %s\n", written)
	fmt.Fprintf(&b, "# ADMIN_URL is the Admin API of a Kong with a database. A second run is refused: PATCH changes what is there.\n")
	if d.scoped("consumer_group") {
		fmt.Fprintf(&b, "# Plugins for consumer groups are there in Kong Enterprise and Konnect only.\n")
	}
	if d.uses("datakit") {
		fmt.Fprintf(&b, "# From Enterprise 3.11 on the name is datakit-go.\n")
	}
	fmt.Fprintf(&b, "set -euo pipefail\nADMIN_URL=${ADMIN_URL:-http://localhost:8001}\n")
	for _, p := range d.plugins {
		path, rest := "", p.scopes
		if len(rest) > 0 {
			path, rest = "/"+rest[0].plural()+"/"+rest[0].name, rest[1:]
		}
		body, err := p.body(p.name, rest, func(s scope) (string, string) {
			if s.kind == "consumer" {
				return "username", s.name
			}
			return "name", s.name
		})
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n# %s\ncurl -sS --fail-with-body -X POST \"$ADMIN_URL%s/plugins\" -H 'Content-Type: application/json' --data-binary @- <<'JSON'\n%s\nJSON\n", p.title(), path, body)
	}
	return b.String(), nil
}

// konnectAPI is a script for a control plane, which knows entities by their ids.
func konnectAPI(d document) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "#!/usr/bin/env bash\n# %s\n", written)
	fmt.Fprintf(&b, "# KONNECT_TOKEN is a personal or system access token, CONTROL_PLANE the id of the control plane, which has the schema.\n")
	if d.uses("datakit") {
		fmt.Fprintf(&b, "# Konnect has a datakit of its own, so ours is datakit-go there and on the data planes.\n")
	}
	fmt.Fprintf(&b, "set -euo pipefail\n: \"${KONNECT_TOKEN:?a token}\" \"${CONTROL_PLANE:?the id of the control plane}\"\n")
	seen := map[scope]bool{}
	for _, p := range d.plugins {
		for _, s := range p.scopes {
			if !seen[s] {
				seen[s] = true
				fmt.Fprintf(&b, ": \"${%s:?the id of the %s}\"\n", s.variable(), s.words())
			}
		}
	}
	fmt.Fprintf(&b, "api=${KONNECT_URL:-https://us.api.konghq.com}/v2/control-planes/$CONTROL_PLANE/core-entities\n")
	fmt.Fprintf(&b, "post() { curl -sS --fail-with-body -X POST \"$api/$1\" -H @<(echo \"Authorization: Bearer $KONNECT_TOKEN\") -H 'Content-Type: application/json' --data-binary @-; }\n")
	for _, p := range d.plugins {
		path, rest := "", p.scopes
		if len(rest) > 0 {
			path, rest = rest[0].plural()+"/$"+rest[0].variable()+"/", rest[1:]
		}
		body, err := p.body(besideKongsOwn(p.name), rest, func(s scope) (string, string) { return "id", "'$" + s.variable() + "'" })
		if err != nil {
			return "", err
		}
		quote := "'JSON'"
		if len(rest) > 0 { // the shell puts the ids in
			quote = "JSON"
			body = strings.NewReplacer(`\`, `\\`, "`", "\\`", `$`, `\$`).Replace(body)
			for _, s := range rest {
				body = strings.ReplaceAll(body, `'\$`+s.variable()+`'`, "$"+s.variable())
			}
		}
		fmt.Fprintf(&b, "\n# %s\npost \"%splugins\" <<%s\n%s\nJSON\n", p.title(), path, quote, body)
	}
	return b.String(), nil
}

// variable is the name of an environment variable for the id.
func (s scope) variable() string {
	return strings.ToUpper(s.kind+"_"+identifier(s.name)) + "_ID"
}

// identifier is a name with underscores in the place of what is neither letter nor digit.
func identifier(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}
