package schema

import (
	"encoding/json"
	"regexp"
)

// DumpInfo is what a dump says of a plugin beside its schema.
type DumpInfo struct {
	Name       string
	SocketPath string // informational; Kong uses its own setting
	Version    string // see Dump
	Priority   int
	Phases     []string
}

// DumpSchema returns the `Schema` object of the dump as JSON. Its bytes depend on p and name alone.
func (p Plugin) DumpSchema(name string) []byte { return must(p.table(name, true)) }

// Dump returns the whole description that Kong's query command wants: one JSON object, with a newline at its end.
//
// Kong does not start with a version that has no number or more than three. So only these are taken from d.Version
// ("v1.2.3-rc1" is 1.2.3), and a version without any ("dev") is 0.0.0.
func (p Plugin) Dump(d DumpInfo) []byte {
	phases := d.Phases
	if phases == nil {
		phases = []string{}
	}
	return append(must(ordered{
		{"Protocol", "ProtoBuf:1"},
		{"SocketPath", d.SocketPath},
		{"Plugins", []any{ordered{
			{"Name", d.Name},
			{"Phases", phases},
			{"Version", kongVersion(d.Version)},
			{"Priority", d.Priority},
			{"Schema", p.table(d.Name, true)},
		}}},
	}), '\n')
}

var versionNumbers = regexp.MustCompile(`^v?(\d{1,9}(?:\.\d{1,9}){0,2})(?:[^0-9.]|$)`)

// kongVersion returns what of a version Kong can read.
func kongVersion(version string) string {
	if m := versionNumbers.FindStringSubmatch(version); m != nil {
		return m[1]
	}
	return "0.0.0"
}

// table is the schema as Kong takes it. With texts it includes what control planes of Kong 2.8 refuse.
func (p Plugin) table(name string, texts bool) ordered {
	allowed, defaults := p.protocols()
	fields := []any{
		ordered{{"protocols", role{roleField, ordered{
			{"type", string(Set)},
			{"required", true},
			{"default", role{roleData, plain(defaults)}},
			{"elements", role{roleElement, ordered{{"type", string(String)}, {"one_of", role{roleData, plain(allowed)}}}}},
		}}}},
	}
	for _, scope := range p.Forbidden {
		fields = append(fields, ordered{{scope, role{roleField, ordered{
			{"type", string(Foreign)}, {"reference", scope + "s"}, {"eq", Null{}},
		}}}})
	}
	fields = append(fields, ordered{{"config", role{roleField, p.config().attributes(texts)}}})
	o := ordered{{"name", name}, {"fields", role{roleTopLevel, fields}}}
	if len(p.TopChecks) > 0 {
		o = append(o, member{"entity_checks", checkList(p.TopChecks, texts)})
	}
	return o
}

// must encodes a value that is made of strings, numbers and lists of them only; plain has turned everything else into
// null and Plugin.Check has said so.
func must(v any) []byte {
	b, err := marshal(v)
	if err != nil {
		b, _ = json.Marshal(map[string]string{"error": err.Error()})
	}
	return b
}
