package store

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// What lasts is logged once a minute, what is new at once, and its end.
func TestHealthLogs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		h := health{what: "the store", log: slog.New(slog.NewTextHandler(&log, nil))}
		for range 150 { // as many seconds
			h.set(errors.New("it is down"))
			time.Sleep(time.Second)
		}
		assert.Equal(t, 3, strings.Count(log.String(), "it is down"))
		h.set(errors.New("it is broken"))
		h.set(errors.New("it is broken"))
		assert.Equal(t, 1, strings.Count(log.String(), "it is broken"))
		for port := range 10 { // of the next connection
			h.set(fmt.Errorf("redis: read tcp 10.0.0.1:5000%d->10.0.0.2:6379: i/o timeout", port))
		}
		assert.Equal(t, 1, strings.Count(log.String(), "i/o timeout"))
		assert.Contains(t, log.String(), "redis: read tcp 10.0.0.2:6379: i/o timeout")
		h.set(nil)
		h.set(nil)
		assert.Equal(t, 1, strings.Count(log.String(), "the store works again"))
		assert.NoError(t, h.last())
	})
}
