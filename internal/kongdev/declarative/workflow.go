package declarative

import "slices"

// HasWorkflow reports whether a plugin's configuration is a workflow: its
// member nodes is a list of objects with a name and a type, as datakit's is.
// No other plugin is asked to draw: one that does not know the command might
// begin to serve.
func (p *Plugin) HasWorkflow() bool {
	nodes, _ := p.Config["nodes"].([]any)
	return len(nodes) > 0 && !slices.ContainsFunc(nodes, func(n any) bool {
		m, _ := n.(map[string]any)
		_, named := m["name"].(string)
		_, typed := m["type"].(string)
		return !named || !typed
	})
}
