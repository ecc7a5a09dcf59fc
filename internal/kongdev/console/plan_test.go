package console

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newPlanRig has two workflows: the one whose trace guardPlugin answers with, and one with mistakes.
func newPlanRig(t *testing.T) *rig {
	t.Helper()
	var w workflow
	require.NoError(t, json.Unmarshal(workflowTrace, &w))
	for i := range w.Nodes {
		w.Nodes[i].Status = ""
	}
	drawn := filepath.Join(t.TempDir(), "drawn.json")
	require.NoError(t, os.WriteFile(drawn, toJSON(workflow{Nodes: w.Nodes}), 0o600))
	script := filepath.Join(t.TempDir(), "draw")
	require.NoError(t, os.WriteFile(script, []byte(`#!/bin/sh
if grep -q WRONG; then echo "-:1: error: nodes[0]: no, with Authorization: Bearer spoken-secret" >&2; exit 1; fi
cat `+drawn+"\n"), 0o700))
	return newRigWith(t, `
- {name: guard, route: everything, config: {api_key: config-secret, debug: true, nodes: [{name: KEY, type: static}]}}
- {name: guard, service: orders, config: {api_key: config-secret, nodes: [{name: WRONG, type: none}]}}
`, script)
}

// A workflow is there before any request, and then with the last traces on it.
func TestPlans(t *testing.T) {
	r := newPlanRig(t)
	v := r.view()
	v.until(func() bool { return len(v.plans) == 2 })
	assert.Equal(t, []planSummary{
		{Number: 1, Plugin: "guard", Scope: "route everything", Count: 1}, {Number: 2, Plugin: "guard", Scope: "service orders", Count: 1, Wrong: true},
	}, v.plans)
	read := func(path string) (d planDetail) {
		status, body := r.get(path)
		require.Equal(t, 200, status, body)
		require.NoError(t, json.Unmarshal([]byte(body), &d))
		return d
	}
	d := read("/plans/1")
	assert.Equal(t, []any{true, "/", int64(0)}, []any{d.Debug, d.Path, d.Shown})
	assert.Empty(t, d.Traces)
	assert.Len(t, d.Workflow.Nodes, 14)
	assert.Empty(t, d.Workflow.Events)

	r.send("GET", "/a", "X-Test", "workflow")
	r.send("GET", "/b")
	r.send("GET", "/c", "X-Test", "workflow")
	v.until(func() bool { return len(v.requests) == 3 && v.requests[3].Done })
	d = read("/plans/1")
	require.Len(t, d.Traces, 2)
	assert.Equal(t, []int64{3, 1, 3}, []int64{d.Traces[0].Number, d.Traces[1].Number, d.Shown})
	assert.NotEmpty(t, d.Workflow.Events)
	d = read("/plans/1?request=1")
	assert.Equal(t, int64(1), d.Shown)

	d = read("/plans/2")
	assert.Nil(t, d.Workflow)
	assert.Equal(t, "nodes[0]: no, with Authorization: Bearer …", d.Error)
	for _, path := range []string{"/plans/0", "/plans/3", "/plans/x"} {
		status, _ := r.get(path)
		assert.Equal(t, 404, status)
	}
	for _, s := range secrets {
		assert.NotContains(t, v.all.String(), s)
	}
}

func TestPageDrawsPlans(t *testing.T) {
	b := startBrowser(t)
	if b == nil {
		return
	}
	r := newPlanRig(t)
	b.open(r.served.URL())
	b.until("document.querySelectorAll('#workflow .node').length === 14 && document.querySelectorAll('#plan-list .row').length === 2")
	assert.Contains(t, b.text("#traces"), "No trace yet. Try curl -H 'X-DataKit-Debug-Trace: true' "+r.URL()+"/")
	assert.Contains(t, b.text("#detail .head"), "route everything")
	b.eval("document.querySelector('[data-node=PROFILE]').dispatchEvent(new Event('click'))")
	assert.Contains(t, b.text("#workflow pre"), `"from": [`)
	assert.NotContains(t, b.text("#workflow pre"), "status")
	b.picture("plan")

	r.send("GET", "/a", "X-Test", "workflow")
	r.send("GET", "/b", "X-Test", "workflow")
	b.until("document.querySelectorAll('#traces button').length === 3 && !!document.querySelector('#workflow .node.complete')")
	assert.Regexp(t, `PROFILE.*call.*\d µs`, strings.ReplaceAll(b.eval("document.querySelector('[data-node=PROFILE]').textContent").(string), "\n", " "))
	b.picture("plan-traces")
	b.eval("document.querySelectorAll('#traces button')[1].click()")
	b.until("document.querySelectorAll('#traces button')[1].getAttribute('aria-pressed') === 'true'")
	b.eval("document.querySelectorAll('#traces button')[2].click()")
	b.until("document.querySelector('#detail .title .path').innerText === '/a'")

	b.eval("document.querySelectorAll('#plan-list .row')[1].click()")
	b.until("document.querySelector('#detail .failure')?.innerText.includes('nodes[0]: no')")
	b.eval("document.getElementById('tab-lines').click()")
	b.until("document.getElementById('plan-list').hidden && !document.getElementById('line-list').hidden")
	assert.Empty(t, b.noises)
}
