package schema

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// manifestKeys are the keys of a KongPlugin.
func manifestKeys() []Field {
	var fields []Field
	for _, name := range []string{"apiVersion", "kind", "metadata", "plugin", "config", "configFrom", "configPatches", "disabled",
		"instanceName", "protocols", "ordering", "run_on", "consumerRef", "status"} {
		fields = append(fields, Field{Name: name})
	}
	return fields
}

// manifest checks a Kubernetes resource; those of other kinds pass.
func (v *validator) manifest(keys map[string]*entry, root *yaml.Node, depth int) {
	kind := ""
	if e := keys["kind"]; e != nil && e.value != nil && e.value.Kind == yaml.ScalarNode {
		kind = e.value.Value
	}
	switch kind {
	case "KongPlugin", "KongClusterPlugin":
	case "List":
		if e := keys["items"]; e != nil && e.value != nil && e.value.Kind == yaml.SequenceNode {
			for _, item := range e.value.Content {
				v.document(item, depth+1)
			}
		}
		return
	default:
		return
	}
	plugin := keys["plugin"]
	if plugin == nil {
		v.fail(root.Line, "plugin", textRequired)
		return
	}
	if !v.isOurs(plugin) {
		return
	}
	v.found++
	for _, e := range v.entries(root, "", 0) {
		v.unknown(e, manifestKeys())
	}
	if e := keys["disabled"]; e != nil {
		v.boolean(*e)
	}
	if e := keys["protocols"]; e != nil {
		v.protocols(*e)
	}
	if from := keys["configFrom"]; from != nil {
		if keys["config"] != nil {
			v.fail(from.node.Line, "configFrom", "cannot be given together with config; use configPatches for single values")
		}
		v.secretRef(from, "configFrom", kind)
		return // all of it is in the Secret
	}
	patches := v.patches(keys["configPatches"], kind)
	config := keys["config"]
	if config == nil {
		config = &entry{node: plugin.node}
	}
	v.config(config, "config", patches, false)
}

// patches reads configPatches: JSON pointers into config, with values in Secrets.
func (v *validator) patches(list *entry, kind string) (paths [][]string) {
	if list == nil || list.value == nil {
		return nil
	}
	if list.value.Kind != yaml.SequenceNode {
		v.fail(list.node.Line, "configPatches", "expected an array")
		return nil
	}
	for i, item := range list.value.Content {
		at := fmt.Sprintf("configPatches[%d]", i)
		path := v.member(item, "path")
		if path == nil || path.value == nil || path.value.Kind != yaml.ScalarNode || !strings.HasPrefix(path.value.Value, "/") {
			v.fail(item.Line, at+".path", "expected a JSON pointer into config, for instance /application_id")
			continue
		}
		if from := v.member(item, "valueFrom"); from == nil {
			v.fail(item.Line, at+".valueFrom", textRequired)
		} else {
			v.secretRef(from, at+".valueFrom", kind)
		}
		if p, ok := v.pointer(path, at); ok {
			paths = append(paths, p)
		}
	}
	return paths
}

// pointer reads a JSON pointer and checks that the schema has what it points to.
func (v *validator) pointer(path *entry, at string) ([]string, bool) {
	names := strings.Split(path.value.Value[1:], "/")
	if len(names) > maxYAMLDepth {
		v.fail(path.node.Line, at+".path", "nested deeper than %d levels", maxYAMLDepth)
		return nil, false
	}
	f := v.plugin.config()
	for i, name := range names {
		names[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		if f.Type != Record {
			return names[:i], true // an item of a collection: all of it is known later
		}
		sub := slices.IndexFunc(f.Fields, func(f Field) bool { return f.Name == names[i] })
		if sub < 0 {
			text := textUnknown + " " + shown(names[i])
			if hint := didYouMean(names[i], f.Fields); hint != "" {
				text += "; " + hint
			}
			v.fail(path.node.Line, at+".path", "%s", text)
			return nil, false
		}
		f = &f.Fields[sub]
	}
	return names, true
}

// secretRef checks a reference to a Secret.
func (v *validator) secretRef(from *entry, at, kind string) {
	ref := v.member(from.value, "secretKeyRef")
	if ref == nil {
		v.fail(from.node.Line, at+".secretKeyRef", textRequired)
		return
	}
	want := []string{"name", "key"}
	if kind == "KongClusterPlugin" {
		want = append(want, "namespace")
	}
	for _, name := range want {
		if e := v.member(ref.value, name); e == nil || e.value == nil || e.value.Value == "" {
			v.fail(ref.node.Line, at+".secretKeyRef."+name, textRequired)
		}
	}
}
