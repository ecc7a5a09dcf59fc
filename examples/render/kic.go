package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ingressController is a list of manifests, with the commands that attach them.
func ingressController(d document) (string, error) {
	var names []string
	for _, p := range d.plugins {
		names = append(names, p.name)
	}
	var b, manifests bytes.Buffer
	fmt.Fprintf(&b, "# %s\n#\n#   kubectl apply -f kic.yaml\n", written)
	var targets []scope // in order
	attached := map[scope][]string{}
	for i, p := range d.plugins {
		name := p.name
		if n := slices.Index(names, p.name); n != i { // a second configuration of the same plugin
			for _, s := range p.scopes {
				name += "-" + strings.ToLower(strings.ReplaceAll(identifier(s.name), "_", "-"))
			}
		}
		for _, s := range p.scopes {
			if attached[s] == nil {
				targets = append(targets, s)
			}
			attached[s] = append(attached[s], name)
		}
		if i > 0 {
			manifests.WriteString("---\n")
		}
		if err := writeManifest(&manifests, name, p); err != nil {
			return "", err
		}
	}
	for _, s := range targets {
		kinds := map[string][]string{
			"service": {"service"}, "route": {"ingress", "httproute"}, "consumer": {"kongconsumer"}, "consumer_group": {"kongconsumergroup"},
		}[s.kind]
		for i, kind := range kinds {
			or := ""
			if i > 0 {
				or = "   # or"
			}
			fmt.Fprintf(&b, "#   kubectl annotate -n kong %s %s konghq.com/plugins=%s%s\n", kind, s.name, strings.Join(attached[s], ","), or)
		}
	}
	b.WriteString("#\n")
	if d.scoped("consumer_group") {
		b.WriteString("# Plugins for consumer groups are there in Kong Enterprise and Konnect only.\n")
	}
	if d.uses("datakit") {
		b.WriteString("# From Enterprise 3.11 on write plugin: datakit-go.\n")
	}
	if len(targets) > 0 {
		b.WriteString("# The namespace is that of what the plugin is for.\n")
	}
	text := strings.TrimSuffix(b.String(), "#\n")
	return text + manifests.String(), nil
}

// writeManifest writes a KongPlugin, or for everything a KongClusterPlugin.
func writeManifest(b *bytes.Buffer, name string, p plugin) error {
	kind, metadata := "KongPlugin", mapping("name", text(name), "namespace", text("kong"))
	if len(p.scopes) == 0 {
		global := text("true")
		global.Style = yaml.DoubleQuotedStyle
		kind = "KongClusterPlugin"
		metadata = mapping("name", text(name), "labels", mapping("global", global), "annotations", mapping("kubernetes.io/ingress.class", text("kong")))
	}
	m := mapping("apiVersion", text("configuration.konghq.com/v1"), "kind", text(kind), "metadata", metadata, "plugin", text(p.name))
	for _, a := range p.others {
		key := map[string]string{"instance_name": "instanceName", "enabled": "disabled", "protocols": "protocols", "ordering": "ordering"}[a.name]
		switch {
		case key == "":
			return fmt.Errorf("line %d: %s: KongPlugin has no such field", a.value.Line, a.name)
		case key == "disabled":
			m.Content = append(m.Content, text(key), &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: map[string]string{"true": "false", "false": "true"}[a.value.Value]})
		default:
			m.Content = append(m.Content, text(key), a.value)
		}
	}
	if p.config != nil {
		m.Content = append(m.Content, text("config"), p.config)
	}
	return encode(b, m)
}

func encode(b *bytes.Buffer, n *yaml.Node) error {
	e := yaml.NewEncoder(b)
	e.SetIndent(2)
	if err := e.Encode(n); err != nil {
		return err
	}
	return e.Close()
}

func text(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

// mapping takes keys and nodes in turn.
func mapping(members ...any) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode}
	for _, x := range members {
		if n, ok := x.(*yaml.Node); ok {
			m.Content = append(m.Content, n)
		} else {
			m.Content = append(m.Content, text(fmt.Sprint(x)))
		}
	}
	return m
}
