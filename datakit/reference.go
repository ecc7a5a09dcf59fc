package datakit

import (
	"encoding/json"
	"fmt"
	"strings"
)

// NodeReference is the page of the documentation that says what each node has, in Markdown: made of the declarations that
// configurations are checked by.
func NodeReference() string {
	var b strings.Builder
	b.WriteString(`# Nodes of datakit

<!-- Generated from the declarations of the code: run make generate. -->

What each type of node has. [datakit.md](datakit.md) says how nodes work together. *Since* is the version of Kong's own Datakit that has it; *here* is what only this plugin has.

Every type runs in either phase: before the request is proxied or, when the node depends on ` + "`service_response`" + `, once the upstream has answered. ` + "A `property` may be bound to a phase." + `

## Every node

`)
	optionTable(&b, "", commonOptions)
	for _, name := range sortedKeys(kinds) {
		kinds[name].reference(&b, name)
	}
	b.WriteString("\n## The gateway's ends\n\nThey exist in every workflow and need no declaration.\n")
	for _, name := range implicitNames {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n", name, implicitDocs[name])
		in, out := implicitPorts(name, &Resources{})
		portTable(&b, "input", in)
		portTable(&b, "output", out)
	}
	b.WriteString("\n## Properties\n\n| property | type | read | written |\n|---|---|---|---|\n")
	for _, name := range sortedKeys(properties) {
		properties[name].reference(&b, name)
	}
	return b.String()
}

func (k *kind) reference(b *strings.Builder, name string) {
	fmt.Fprintf(b, "\n## %s\n\n%s Since %s.\n", name, k.doc, k.since)
	if len(k.options) > 0 {
		b.WriteString("\n")
		optionTable(b, "", k.options)
	}
	switch {
	case k.freeInputs:
		b.WriteString("\nInputs: any names, or the whole value.\n")
	case len(k.in) == 0:
		b.WriteString("\nInputs: none.\n")
	}
	portTable(b, "input", k.in)
	switch {
	case k.decides != "":
		fmt.Fprintf(b, "\nOutputs: %s\n", strings.ToLower(k.decides[:1])+k.decides[1:])
	case len(k.out) == 0:
		b.WriteString("\nOutputs: none.\n")
	}
	portTable(b, "output", k.out)
}

func optionTable(b *strings.Builder, under string, options []option) {
	if under == "" {
		b.WriteString("| option | type | default | since | what it does |\n|---|---|---|---|---|\n")
	}
	for _, d := range options {
		fmt.Fprintf(b, "| `%s%s` | %s | %s | %s | %s |\n", under, d.name, d.typeText(), d.defaultText(), sinceText(d.since), d.doc)
		optionTable(b, under+d.name+".", d.fields)
	}
}

// typeText is an option's type with its bounds.
func (d option) typeText() string {
	text := map[typ]string{numberType: "integer", mapType: "object", listType: "list of strings"}[d.typ]
	if text == "" {
		text = string(d.typ)
	}
	if d.unit != "" {
		text += " (" + d.unit + ")"
	}
	switch {
	case d.oneOf != nil:
		text += ": `" + strings.Join(d.oneOf, "`, `") + "`"
	case d.typ == numberType:
		text += fmt.Sprintf(", %d to %d", d.min, d.max)
	case d.typ == stringType && d.max > 0 && d.min == 0:
		text += fmt.Sprintf(", up to %d characters", d.max)
	case d.typ == stringType && d.max > 0:
		text += fmt.Sprintf(", %d to %d characters", d.min, d.max)
	}
	return text
}

func (d option) defaultText() string {
	if d.required {
		return "**required**"
	}
	if d.otherwise == nil {
		return ""
	}
	text, err := json.Marshal(d.otherwise)
	if err != nil {
		panic(err) // a declaration is a literal
	}
	return "`" + string(text) + "`"
}

func sinceText(version string) string {
	if version == "" {
		return "here"
	}
	return version
}

func portTable(b *strings.Builder, what string, ports []port) {
	if len(ports) == 0 {
		return
	}
	fmt.Fprintf(b, "\n| %s | type | since | what it is |\n|---|---|---|---|\n", what)
	for _, p := range ports {
		name := "`" + p.name + "`"
		if p.name == self {
			name = "the whole value"
		}
		if p.required {
			name += " (**required**)"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", name, p.typ, sinceText(p.since), p.doc)
	}
}

// reference is a property's line.
func (p property) reference(b *strings.Builder, name string) {
	if p.anySuffix {
		name += "KEY"
	}
	read, written := "no", "no"
	switch {
	case p.missing:
		read = "null: open-source Kong has none"
	case p.get && p.late:
		read = "in the response phase"
	case p.get:
		read = "yes"
	}
	switch {
	case p.set && p.early:
		written = "before the request is proxied"
	case p.set:
		written = "yes"
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, p.typ, read, written)
}
