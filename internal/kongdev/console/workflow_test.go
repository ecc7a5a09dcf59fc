package console

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// The workflow of a request is a graph: its nodes in lanes, what they took, and at a click what flowed.
func TestPageDrawsWorkflows(t *testing.T) {
	b := startBrowser(t)
	if b == nil {
		return
	}
	r := newRig(t)
	b.open(r.served.URL())
	r.send("GET", "/orders?id=1", "X-Test", "workflow")
	b.until("document.querySelectorAll('#workflow .node').length === 14")
	b.until("document.getElementById('fall').innerText.includes('4 flights') && !document.querySelector('#fall .unended')") // it is not drawn again
	assert.Equal(t, []any{"complete", "skipped", "complete"}, b.eval("['PROFILE', 'OLD_NEWS', 'SUMMARY'].map(n => document.querySelector(`[data-node=${n}]`).classList[1])"))
	assert.Regexp(t, `PROFILE.*call.*\d µs`, strings.ReplaceAll(b.eval("document.querySelector('[data-node=PROFILE]').textContent").(string), "\n", " "))
	assert.Equal(t, true, b.eval("document.querySelectorAll('#workflow .edge').length >= 15 && document.querySelectorAll('#workflow .lane').length === 2"))
	assert.Equal(t, 3.0, b.eval("document.querySelectorAll('#workflow .edge.decides').length"))
	// Who waits stands to the right, in its lane, and nothing lies on anything else.
	assert.Equal(t, true, b.eval(`(() => { const at = n => document.querySelector('[data-node=' + n + ']').getBoundingClientRect();
		const boxes = [...document.querySelectorAll('#workflow .node rect')].map(n => n.getBoundingClientRect());
		const apart = boxes.every((a, i) => boxes.every((b, j) => i === j || a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top));
		return apart && at('KEY').right < at('KNOWN').left && at('KNOWN').right < at('PROFILE').left && at('HEADERS').right < at('service_response').left })()`))
	b.eval("document.querySelector('[data-node=HEADERS]').dispatchEvent(new Event('click'))")
	values := b.text("#workflow pre")
	for _, want := range []string{`"node": "HEADERS"`, `"limits": 200`, `"secret": "(hidden)"`, `"out": "(hidden)"`} {
		assert.Contains(t, strings.ReplaceAll(values, "********", "(hidden)"), want)
	}
	assert.NotContains(t, b.eval("document.documentElement.outerHTML"), "my-secret")
	b.picture("workflow")
	b.eval("document.querySelector('[data-node=HEADERS]').dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}))")
	assert.Equal(t, true, b.eval("document.querySelector('#workflow pre').hidden"))

	r.send("GET", "/orders?id=2")
	b.until("document.querySelectorAll('#request-list .row:not([hidden])').length === 2")
	b.eval("document.querySelector('#request-list .row').click()")
	b.until("!document.getElementById('workflow') && document.querySelectorAll('#fall .event').length === 4")
	assert.Empty(t, b.noises)
}

func TestParseWorkflow(t *testing.T) {
	t.Parallel()
	w := parseWorkflow(workflowTrace)
	require.NotNil(t, w)
	assert.Len(t, w.Nodes, 14)
	assert.Equal(t, []workflowLink{{From: "KNOWN", Out: "miss"}}, w.Nodes[2].Links)
	for _, body := range []string{
		"", "[]", "no", `{"status":"PLAN_COMPLETE"}`, `{"status":"PLAN_COMPLETE","nodes":[]}`, `{"nodes":[{"name":"A"}]}`, `{"status":"PLAN_ERROR","nodes":{}}`,
		`{"status":"PLAN_ERROR","nodes":[` + strings.Repeat(`{},`, maxWorkflowNodes) + `{}]}`,
	} {
		assert.Nil(t, parseWorkflow([]byte(body)), body)
	}
	w = parseWorkflow([]byte(`{"status":"PLAN_ERROR","nodes":[{"name":"A","error":"sent Authorization: Bearer spoken-secret"}],"events":[{"name":"A","value":{"type":"map","value":{"password":"body-secret","sku":"1"}}}]}`))
	require.NotNil(t, w)
	text := string(toJSON(w))
	assert.NotContains(t, text, "-secret")
	assert.Contains(t, text, `"sku":"1"`)
}

func FuzzWorkflow(f *testing.F) {
	f.Add(protowire.AppendBytes(protowire.AppendTag([]byte{8, 200, 1}, 2, protowire.BytesType), workflowTrace))
	f.Add([]byte{18, 255, 1})
	f.Add([]byte{10, 3, 1})
	f.Fuzz(func(t *testing.T, args []byte) {
		w := parseWorkflow(exitBody(args))
		if w == nil {
			return
		}
		assert.LessOrEqual(t, len(w.Nodes), maxWorkflowNodes)
		assert.NotEmpty(t, toJSON(w))
	})
}
