package kongdev

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Beyond 4096 running and 16384 waiting log events of a worker Kong loses them.
func TestLogQueueIsBounded(t *testing.T) {
	q := newLogQueue(1)
	release := make(chan struct{})
	var running, all sync.WaitGroup
	running.Add(maxRunningTimers)
	for range maxRunningTimers {
		all.Add(1)
		require.True(t, q.run(func() { running.Done(); <-release; all.Done() }))
	}
	running.Wait()
	for range maxPendingTimers {
		all.Add(1)
		require.True(t, q.run(all.Done))
	}
	assert.False(t, q.run(func() { t.Error("it was refused") }))
	close(release)
	all.Wait()
	all.Add(1)
	require.True(t, q.run(all.Done))
	all.Wait()
}
