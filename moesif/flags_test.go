package moesif

import (
	"flag"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// parseFlags gives a Capture the flags of a command line, beside those of the server that it looks at.
func parseFlags(t *testing.T, c *Capture, args ...string) {
	t.Helper()
	require.NoError(t, parse(c, args...))
}

func parse(c *Capture, args ...string) error {
	f := flag.NewFlagSet("moesif", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.String("phases", "", "")
	f.String("kong-prefix", "", "")
	c.registerFlags(f)
	return f.Parse(args)
}

func TestModes(t *testing.T) {
	for _, c := range []struct {
		name                              string
		args                              []string
		exempts, onDemand, buffersAll, ok bool
	}{
		{"nothing", nil, true, false, true, true},
		{"always", []string{"-buffer", "always"}, false, false, true, true},
		{"without response", []string{"-phases", "access,log"}, false, false, false, true},
		{"on demand", []string{"-phases", " access, log", "-buffer", "on-demand"}, false, true, false, true},
		{"on demand, with response", []string{"-buffer", "on-demand"}, true, false, true, false},
		{"on demand, without access", []string{"-phases", "log", "-buffer", "on-demand"}, false, true, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var reports []string
			capture := NewCapture(func(_, text string) { reports = append(reports, text) })
			parseFlags(t, capture, c.args...)
			m := capture.started()
			capture.started()
			assert.Equal(t, c.exempts, m.exempts())
			assert.Equal(t, c.onDemand, m.onDemand())
			assert.Equal(t, c.buffersAll, m.buffersAll())
			assert.Equal(t, c.ok, len(reports) == 0, "%q", reports)
		})
	}
	assert.ErrorContains(t, parse(newTestCapture(t), "-buffer", "sometimes"), "expected auto, always or on-demand")
}

func TestSpoolFolder(t *testing.T) {
	for _, c := range []struct{ prefix, config, want string }{
		{"/kong", ``, "/kong/moesif-spool"},
		{"/kong", `,"spool_dir":null`, "/kong/moesif-spool"},
		{"/kong", `,"spool_dir":"/var/spool/moesif"`, "/var/spool/moesif"},
		{"/kong", `,"spool_dir":"<kong-prefix>/other"`, "/kong/other"},
		{"/kong", `,"spool_dir":""`, ""},
		{"", ``, ""},
	} {
		capture := newTestCapture(t)
		if c.prefix != "" {
			parseFlags(t, capture, "-kong-prefix", c.prefix)
		}
		s, err := configOf(t, capture, `{"application_id":"a"`+c.config+`}`).check()
		require.NoError(t, err)
		assert.Equal(t, c.want, s.queue.SpoolDir)
	}
}
