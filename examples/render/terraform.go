package main

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// terraform is a configuration for the provider kong/konnect: schemas of our plugins, and the plugins.
func terraform(d document) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n# TF_VAR_konnect_token and TF_VAR_control_plane_id come from the environment.\n", written)
	b.WriteString(`terraform {
  required_providers {
    konnect = {
      source = "kong/konnect"
    }
  }
}

variable "konnect_token" {
  type      = string
  sensitive = true
}

variable "control_plane_id" {
  type = string
}
`)
	seenScope := map[scope]bool{}
	for _, p := range d.plugins {
		for _, s := range p.scopes {
			if !seenScope[s] {
				seenScope[s] = true
				fmt.Fprintf(&b, "\nvariable \"%s\" {\n  type        = string\n  description = \"Id of the %s.\"\n}\n", strings.ToLower(s.variable()), s.words())
			}
		}
	}
	b.WriteString(`
provider "konnect" {
  personal_access_token = var.konnect_token
  server_url            = "https://us.api.konghq.com"
}
`)
	seen := map[string]int{}
	for _, p := range d.plugins {
		seen[p.name]++
		if seen[p.name] == 1 && ours(p.name) {
			writeSchema(&b, p.name)
		}
		if err := writeResource(&b, p, seen[p.name]); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// writeSchema writes the resource that uploads a plugin's schema. Konnect has a datakit of its own.
func writeSchema(b *strings.Builder, name string) {
	source := fmt.Sprintf(`file("${path.module}/../../../schema/%s/schema.lua")`, name)
	if other := besideKongsOwn(name); other != name {
		fmt.Fprintf(b, "\n# Konnect has a %s of its own, so ours is %s there and on the data planes.", name, other)
		source = fmt.Sprintf(`replace(%s, "name=\"%s\"", "name=\"%s\"")`, source, name, other)
	}
	fmt.Fprintf(b, "\nresource \"konnect_gateway_custom_plugin_schema\" \"%s\" {\n  control_plane_id = var.control_plane_id\n  lua_schema       = %s\n}\n", name, source)
}

func writeResource(b *strings.Builder, p plugin, nth int) error {
	kind, label := "konnect_gateway_custom_plugin", p.name
	if !ours(p.name) {
		kind = "konnect_gateway_plugin_" + identifier(p.name)
	}
	if nth > 1 {
		label = fmt.Sprint(label, "_", nth)
	}
	fields := []hclField{{"control_plane_id", "var.control_plane_id"}}
	if ours(p.name) {
		fields = append(fields, hclField{"name", "konnect_gateway_custom_plugin_schema." + p.name + ".name"})
	}
	for _, a := range p.others {
		v, err := hclValue(a.value, "  ")
		if err != nil {
			return err
		}
		fields = append(fields, hclField{a.name, v})
	}
	if p.config != nil {
		v, err := hclValue(p.config, "  ")
		if err != nil {
			return err
		}
		fields = append(fields, hclField{"config", v})
	}
	for _, s := range p.scopes {
		fields = append(fields, hclField{s.kind, "{\n    id = var." + strings.ToLower(s.variable()) + "\n  }"})
	}
	fmt.Fprintf(b, "\n# %s\nresource \"%s\" \"%s\" {\n", p.title(), kind, strings.ReplaceAll(label, "-", "_"))
	writeFields(b, fields, "  ")
	if ours(p.name) {
		b.WriteString("\n  # Konnect fills in defaults, which would be a difference at each plan; so are your own changes of config not seen.\n  lifecycle {\n    ignore_changes = [config]\n  }\n")
	}
	b.WriteString("}\n")
	return nil
}

// An hclField is an attribute; its value may have several lines.
type hclField struct{ key, value string }

// writeFields aligns the signs of neighbours that have one line, as terraform fmt does.
func writeFields(b *strings.Builder, fields []hclField, indent string) {
	for i := 0; i < len(fields); {
		j, width := i, 0
		for ; j < len(fields) && !strings.Contains(fields[j].value, "\n"); j++ {
			width = max(width, utf8.RuneCountInString(fields[j].key))
		}
		if j < len(fields) && strings.HasPrefix(fields[j].value, "<<") { // a heredoc still belongs to those above it
			width = max(width, utf8.RuneCountInString(fields[j].key))
			j++
		}
		for ; i < j; i++ {
			fmt.Fprintf(b, "%s%-*s = %s\n", indent, width, fields[i].key, fields[i].value)
		}
		if i < len(fields) {
			fmt.Fprintf(b, "%s%s = %s\n", indent, fields[i].key, fields[i].value)
			i++
		}
	}
}

var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`) // read-only

// hclValue is a node as an expression whose further lines begin with the indent.
func hclValue(n *yaml.Node, indent string) (string, error) {
	var b strings.Builder
	switch n.Kind {
	case yaml.MappingNode:
		var fields []hclField
		for i := 0; i+1 < len(n.Content); i += 2 {
			v, err := hclValue(n.Content[i+1], indent+"  ")
			if err != nil {
				return "", err
			}
			key := n.Content[i].Value
			if !plainKey.MatchString(key) {
				key = hclString(key)
			}
			if s := n.Content[i+1]; s.Kind == yaml.ScalarNode && linesOfText.MatchString(s.Value) {
				v = heredoc(s.Value, indent+"    ")
			}
			fields = append(fields, hclField{key, v})
		}
		if len(fields) == 0 {
			return "{}", nil
		}
		b.WriteString("{\n")
		writeFields(&b, fields, indent+"  ")
		b.WriteString(indent + "}")
	case yaml.SequenceNode:
		var list []string
		flat := true
		for _, item := range n.Content {
			v, err := hclValue(item, indent+"  ")
			if err != nil {
				return "", err
			}
			list = append(list, v)
			flat = flat && item.Kind == yaml.ScalarNode && !strings.Contains(v, "\n")
		}
		if flat {
			return "[" + strings.Join(list, ", ") + "]", nil
		}
		b.WriteString("[\n")
		for _, v := range list {
			b.WriteString(indent + "  " + v + ",\n")
		}
		b.WriteString(indent + "]")
	default:
		v, err := scalar(n)
		if err != nil {
			return "", err
		}
		s, ok := v.(string)
		if !ok {
			if v == nil {
				return "null", nil
			}
			return fmt.Sprint(v), nil
		}
		return hclString(s), nil
	}
	return b.String(), nil
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "${", "$${", "%{", "%%{") // read-only

func hclString(s string) string { return `"` + escapes.Replace(s) + `"` }

// linesOfText are texts that a heredoc holds as they are: whole lines, none empty, the first one not indented.
var linesOfText = regexp.MustCompile(`^[^\s].*\n(?:.+\n)*$`) // read-only

var templates = strings.NewReplacer("${", "$${", "%{", "%%{") // read-only

func heredoc(s, indent string) string {
	var b strings.Builder
	b.WriteString("<<-EOT\n")
	for line := range strings.Lines(templates.Replace(s)) {
		b.WriteString(indent + line)
	}
	b.WriteString(strings.TrimSuffix(indent, "  ") + "EOT")
	return b.String()
}
