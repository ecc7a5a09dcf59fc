package pluginserver

import (
	"encoding/json"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/stretchr/testify/require"
)

func TestUnknownInstanceIsAskedForAgain(t *testing.T) {
	r := newRig(t, testHandlers{})
	p := r.dial()
	p.event(12345, "access")
	_, err := p.tryRead()
	require.ErrorIs(t, err, io.EOF, "Kong must read a clean end")
	require.EqualValues(t, 1, r.counts.unknownInstance.Load())
	require.Contains(t, r.logs.String(), "kong named an instance of another process; it will start it again")
}

func TestInstanceIDs(t *testing.T) {
	r := newRig(t, testHandlers{})
	p := r.dial()
	first := p.start(map[string]any{"__seq__": 40, "message": "a"})
	require.EqualValues(t, 40, first)
	require.Equal(t, first, p.start(map[string]any{"message": "a", "__seq__": 40}), "the same configuration again")
	other := p.start(map[string]any{"__seq__": 40, "message": "b"})
	require.NotEqual(t, first, other, "one id must never mean two configurations")
	a, b, c := p.start(nil), p.start(nil), p.start(nil)
	require.NotEqual(t, a, b)
	require.Greater(t, max(other, a, b, c), int32(1<<20), "random, not a counter")
	require.NotZero(t, p.start(map[string]any{"__seq__": -3}))
	require.NotZero(t, p.start(map[string]any{"__seq__": 1e18}))
	p.closeInstance(first)
	calls, err := p.run(first, "access", noAnswer)
	require.NoError(t, err, "a closed instance stays usable")
	require.Empty(t, calls)
}

// A configuration gets ready after Kong was answered, without an event, once for all of Kong's workers; neither a slow one
// nor one that panics is in anybody's way.
func TestInstancesPrepare(t *testing.T) {
	prepared, slow := make(chan string, 10), make(chan struct{})
	r := newRig(t, testHandlers{prepared: func(c *testConfig) {
		switch c.Message {
		case "slow":
			<-slow
		case "wrong":
			panic("no way")
		}
		prepared <- c.Message
	}})
	p := r.dial()
	id := p.start(map[string]any{"__seq__": 7, "message": "slow"})
	_, err := p.run(id, "access", noAnswer)
	require.NoError(t, err, "an event does not wait")
	p.start(map[string]any{"message": "wrong"})
	require.Equal(t, id, r.dial().start(map[string]any{"__seq__": 7, "message": "slow"}))
	p.start(map[string]any{"message": "b"})
	require.Equal(t, "b", <-prepared)
	r.restore(99, []byte(`{"message":"restored"}`))
	require.Equal(t, "restored", <-prepared)
	eventually(t, "the panic in the log", func() bool {
		return strings.Contains(r.logs.String(), "while a configuration was prepared") && strings.Contains(r.logs.String(), "no way")
	})
	close(slow)
	r.preparing.Wait()
	require.Equal(t, "slow", <-prepared)
	require.Empty(t, prepared, "once")
}

func TestInstancesExpire(t *testing.T) {
	var table instances
	table.byID = map[int32]*instance{}
	minute := int64(time.Minute)
	a := table.start([]byte(`{"__seq__":1}`), 0)
	b := table.start([]byte(`{"__seq__":2}`), 0)
	a.closed.Store(1)
	require.Empty(t, table.expire(minute/2))
	a.used.Store(minute)
	require.Empty(t, table.expire(minute+minute/2), "still named")
	require.Equal(t, []*instance{a}, table.expire(3*minute))
	require.Equal(t, []*instance{b}, table.expire(int64(idleGrace)+1))
	require.Zero(t, table.len())

	c := table.start([]byte(`{"__seq__":3}`), 0)
	c.closed.Store(1)
	require.Same(t, c, table.use(c.id, 10*minute)) // its handler runs now
	require.Empty(t, table.expire(10*minute+1))
	require.Nil(t, table.use(4, 0))
}

func TestPanicOfCloseIsAnError(t *testing.T) {
	r := newRig(t, testHandlers{closed: func(*testConfig) { panic("no way") }})
	p := r.dial()
	_, err := p.run(p.start(nil), "access", noAnswer) // builds the configuration
	require.NoError(t, err)
	r.closeInstances(r.instances.expire(int64(2 * idleGrace)))
	require.Contains(t, r.logs.String(), "closing the configuration panicked: no way")
}

func TestInstanceChurnLeaksNothing(t *testing.T) {
	var open atomic.Int64
	r := newRig(t, testHandlers{
		access: func(*testConfig, *pdk.PDK) { open.Add(1) },
		closed: func(*testConfig) { open.Add(-1) },
	})
	p := r.dial()
	goroutines := runtime.NumGoroutine()
	var before, after runtime.MemStats
	round := func() {
		for i := range 1000 {
			id := p.start(map[string]any{"message": strings.Repeat("x", 10000), "n": i})
			_, err := p.run(id, "access", noAnswer)
			require.NoError(t, err)
			p.closeInstance(id)
		}
		r.preparing.Wait() // each instance is prepared in the background
		for _, in := range r.instances.expire(r.now() + int64(idleGrace) + int64(time.Hour)) {
			in.close()
		}
		require.Zero(t, r.instances.len())
		require.Zero(t, open.Load())
		runtime.GC()
	}
	round()
	runtime.ReadMemStats(&before)
	round()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(2<<20), "1,000 configurations of 10 kB are gone")
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines+1 })
}

func TestStartAnswersBeforeDecoding(t *testing.T) {
	var decoded atomic.Bool
	r := newRig(t, testHandlers{}, func(s *serverConfig) {
		s.plugin.New = func() any { return &slowConfig{&decoded} }
	})
	p := r.dial()
	id := p.start(map[string]any{"a": 1})
	require.False(t, decoded.Load())
	_, err := p.run(id, "access", noAnswer)
	require.NoError(t, err)
	require.True(t, decoded.Load())
}

type slowConfig struct{ decoded *atomic.Bool }

func (c *slowConfig) UnmarshalJSON(b []byte) error {
	c.decoded.Store(json.Valid(b))
	return nil
}

func (c *slowConfig) Access(*pdk.PDK) {}
