package moesif

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCollectorFlags(t *testing.T) {
	c := newTestCapture(t)
	parseFlags(t, c)
	require.NoError(t, c.checkFlags())
	assert.Nil(t, c.http.Proxy, "the environment's is not used")
	assert.Nil(t, c.http.RootCAs)

	auth := filepath.Join(t.TempDir(), "auth")
	require.NoError(t, os.WriteFile(auth, []byte("user:ge:heim\n"), 0o600))
	c = newTestCapture(t)
	parseFlags(t, c, "-collector-proxy", "http://proxy:3128", "-collector-proxy-auth", auth)
	require.NoError(t, c.checkFlags())
	assert.Equal(t, "proxy:3128", c.http.Proxy.Host)
	password, _ := c.http.Proxy.User.Password()
	assert.Equal(t, []string{"user", "ge:heim"}, []string{c.http.Proxy.User.Username(), password})

	for want, flags := range map[string][]string{
		"-collector-ca: open /nowhere/ca.pem: no such file":                            {"-collector-ca", "/nowhere/ca.pem"},
		"-collector-proxy: its scheme is none of a proxy":                              {"-collector-proxy", "user:geheim@proxy"},
		"name that with -collector-proxy-auth":                                         {"-collector-proxy", "http://user:geheim@proxy:3128"},
		"-collector-proxy-auth: there is no -collector-proxy":                          {"-collector-proxy-auth", auth},
		"-collector-proxy-auth: open /nowhere/geheim: no such file":                    {"-collector-proxy", "http://p:1", "-collector-proxy-auth", "/nowhere/geheim"},
		"-collector-ca: open /nowhere/ca.pem: no such file or directory; -collector-p": {"-collector-proxy", "p", "-collector-ca", "/nowhere/ca.pem"},
	} {
		c = newTestCapture(t)
		parseFlags(t, c, flags...)
		require.NoError(t, c.checkFlags(), "traffic passes")
		err := c.http.Unusable
		require.ErrorContains(t, err, want)
		assert.NotContains(t, strings.ReplaceAll(err.Error(), "/nowhere/geheim", ""), "geheim")
	}
}

// A file that is gone at Kong's next start costs no request: events wait, and the log says for what.
func TestWrongFlagsStopNothing(t *testing.T) {
	g := startGateway(t, builtPlugin, []string{"-collector-ca", "/nowhere/ca.pem"}, "governance_fail_open: true")
	require.Equal(t, 200, g.send("GET", "/hello", "").Status)
	g.WaitLog("-collector-ca: open /nowhere/ca.pem: no such file or directory: no collector is reached") // before an upload is tried
	g.WaitLog("the collector is out of reach: -collector-ca: open /nowhere/ca.pem: no such file or directory; 1 events wait")
	assert.Empty(t, g.Collector.Events())
	assert.Zero(t, g.Stats().Failed)
}
