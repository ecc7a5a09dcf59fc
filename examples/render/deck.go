package main

import (
	"bytes"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// deck is the file itself for a control plane of Konnect. Against a gateway decK takes kong.yml as it is.
func deck(d document) (string, error) {
	root := renamed(d.root)
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == "_format_version" {
			control := mapping("_konnect", mapping("control_plane_name", text("default")))
			root.Content = slices.Insert(root.Content, i+2, control.Content...)
			break
		}
	}
	first := *root.Content[0]
	root.HeadComment, first.HeadComment = "", ""
	root.Content[0] = &first
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n#\n#   deck file validate deck.yml\n#   deck gateway apply deck.yml --konnect-token \"$KONNECT_TOKEN\"\n#\n", written)
	fmt.Fprintf(&b, "# apply leaves alone what is not in the file; sync would delete it. The schema must have been uploaded: decK does not.\n")
	err := encode(&b, root)
	return b.String(), err
}

// renamed is a copy in which our plugins have the names that they have beside Kong's own.
func renamed(n *yaml.Node) *yaml.Node {
	c := *n
	c.Content = nil
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "plugins" && child.Kind == yaml.SequenceNode {
			list := *child
			list.Content = nil
			for _, p := range child.Content {
				list.Content = append(list.Content, renamedPlugin(p))
			}
			c.Content = append(c.Content, &list)
			continue
		}
		c.Content = append(c.Content, renamed(child))
	}
	return &c
}

func renamedPlugin(p *yaml.Node) *yaml.Node {
	c := *p
	c.Content = nil
	for i, child := range p.Content {
		if i%2 == 1 && p.Content[i-1].Value == "name" {
			other := *child
			other.Value = besideKongsOwn(child.Value)
			child = &other
		}
		c.Content = append(c.Content, child)
	}
	return &c
}
