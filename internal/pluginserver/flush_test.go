package pluginserver

import (
	"testing"

	"github.com/Kong/go-pdk"
	"github.com/stretchr/testify/require"
)

func TestFlushWaitsForKong(t *testing.T) {
	flushed := make(chan error, 1)
	flush := func(_ *testConfig, kong *pdk.PDK) {
		require.NoError(t, Flush(kong)) // nothing to send
		require.NoError(t, kong.ServiceRequest.SetHeader("x-a", "1"))
		require.NoError(t, kong.ServiceRequest.SetHeader("x-b", "2"))
		flushed <- Flush(kong)
	}
	r := newRig(t, testHandlers{access: flush})
	p := r.dial()
	id := p.start(nil)
	answered := 0
	calls, err := p.run(id, "access", func(pdkCall) ([]byte, bool) { answered++; return nil, true })
	require.NoError(t, err)
	require.Len(t, calls, 2)
	require.NoError(t, <-flushed)
	require.Equal(t, 2, answered)
	_, err = p.run(id, "access", func(c pdkCall) ([]byte, bool) { return nil, false })
	require.Error(t, err)
	require.Error(t, <-flushed, "Kong has refused: the handler knows before it goes on")
}
