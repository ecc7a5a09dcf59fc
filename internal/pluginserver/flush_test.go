package pluginserver

import (
	"testing"

	"github.com/Kong/go-pdk"
	"github.com/stretchr/testify/require"
)

func TestFlushWaitsForKong(t *testing.T) {
	var errs []error
	flush := func(_ *testConfig, kong *pdk.PDK) {
		require.NoError(t, Flush(kong)) // nothing to send
		require.NoError(t, kong.ServiceRequest.SetHeader("x-a", "1"))
		require.NoError(t, kong.ServiceRequest.SetHeader("x-b", "2"))
		errs = append(errs, Flush(kong))
	}
	r := newRig(t, testHandlers{access: flush})
	p := r.dial()
	id := p.start(nil)
	answered := 0
	calls, err := p.run(id, "access", func(pdkCall) ([]byte, bool) { answered++; return nil, true })
	require.NoError(t, err)
	require.Len(t, calls, 2)
	require.Equal(t, []error{nil}, errs)
	require.Equal(t, 2, answered)
	_, err = p.run(id, "access", func(c pdkCall) ([]byte, bool) { return nil, false })
	require.Error(t, err)
	require.Eventually(t, func() bool { return r.counts.broken.Load() == 1 }, waitFor, 1e6)
	require.Error(t, errs[1], "Kong has refused: the handler knows before it goes on")
}
