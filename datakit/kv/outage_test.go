package kv

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var o outage
		broken := errors.New("broken")
		for range toleratedFailures {
			require.NoError(t, o.refuse())
			o.failed(broken)
		}
		require.ErrorIs(t, o.refuse(), broken)
		time.Sleep(probeEvery)
		require.NoError(t, o.refuse(), "one asks")
		require.ErrorIs(t, o.refuse(), broken, "the others do not")
		o.failed(broken)
		require.ErrorIs(t, o.refuse(), broken)
		time.Sleep(probeEvery)
		require.NoError(t, o.refuse())
		o.answered()
		require.NoError(t, o.refuse())
		o.failed(broken)
		assert.NoError(t, o.refuse(), "one failure is none")
	})
}
