package moesif

import (
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

	c = newTestCapture(t)
	parseFlags(t, c, "-collector-proxy", "http://user:geheim@proxy:3128")
	require.NoError(t, c.checkFlags())
	assert.Equal(t, "proxy:3128", c.http.Proxy.Host)

	c = newTestCapture(t)
	parseFlags(t, c, "-collector-proxy", "user:geheim@proxy", "-collector-ca", "/nowhere/ca.pem")
	err := c.checkFlags()
	require.ErrorContains(t, err, "-collector-ca: open /nowhere/ca.pem: no such file")
	require.ErrorContains(t, err, "-collector-proxy: ")
	assert.NotContains(t, err.Error(), "geheim")
}
