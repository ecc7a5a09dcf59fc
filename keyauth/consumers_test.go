package keyauth

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Kong/go-pdk/entities"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A database is what Kong knows: nothing while it is away.
type database struct {
	mu    sync.Mutex
	names map[string]bool
	err   error
	delay time.Duration
	asked int
}

func (d *database) ask(ref string) (entities.Consumer, error) {
	time.Sleep(d.delay)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if d.err != nil || !d.names[ref] {
		return entities.Consumer{}, d.err
	}
	return entities.Consumer{Id: "id-" + ref, Username: ref}, nil
}

// TestConsumerTimes follows two consumers through an outage of Kong's database.
func TestConsumerTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &database{names: map[string]bool{"bob": true}}
		var c consumers
		tt := times{positive: time.Minute, negative: 5 * time.Second, stale: 30 * time.Second}
		start := time.Now()
		step := func(at time.Duration, ref string, found bool, asked int) {
			t.Helper()
			time.Sleep(time.Until(start.Add(at)))
			consumer, err := c.find(d.ask, consumerRef{"w", ref}, tt)
			require.NoError(t, err)
			assert.Equal(t, found, consumer != nil, "%s at %s", ref, at)
			assert.Equal(t, asked, d.asked, "questions for %s at %s", ref, at)
		}
		step(0, "bob", true, 1)
		step(0, "ann", false, 2)
		step(59*time.Second, "bob", true, 2)
		d.names = map[string]bool{"ann": true} // bob is gone, or Kong cannot say
		step(59*time.Second, "ann", true, 3)
		step(61*time.Second, "bob", true, 4)
		step(62*time.Second, "bob", true, 4)
		step(67*time.Second, "bob", true, 5)
		step(89*time.Second, "bob", true, 6)
		step(95*time.Second, "bob", false, 7)
		step(96*time.Second, "bob", false, 7)
		d.names["bob"] = true
		step(101*time.Second, "bob", true, 8)
		step(101*time.Second, "", false, 8)
		step(101*time.Second, "\xff", false, 8)
	})
}

// What one configuration remembers for long is no answer for another that wants to know it soon, nor the other way round.
func TestConsumerTimesAreEachConfigurations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &database{names: map[string]bool{"bob": true}}
		var c consumers
		long := times{positive: time.Hour, negative: time.Hour, stale: time.Hour}
		short := times{positive: time.Second, negative: time.Second}
		find := func(t2 times) bool {
			consumer, err := c.find(d.ask, consumerRef{"w", "bob"}, t2)
			require.NoError(t, err)
			return consumer != nil
		}
		assert.True(t, find(long))
		d.names = nil
		time.Sleep(2 * time.Second)
		assert.False(t, find(short), "bob is gone, as far as Kong says")
		assert.True(t, find(long), "or Kong cannot say")
		time.Sleep(2 * time.Second)
		d.names = map[string]bool{"bob": true}
		assert.True(t, find(short))
		assert.Equal(t, 3, d.asked)
	})
}

// Many requests at once ask once, and none suffers from another one's lost connection.
func TestConsumerIsAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &database{names: map[string]bool{"bob": true}, delay: time.Millisecond}
		var c consumers
		tt := times{positive: time.Minute}
		lost := func(string) (entities.Consumer, error) {
			time.Sleep(time.Millisecond)
			return entities.Consumer{}, errors.New("connection lost")
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.find(lost, consumerRef{"w", "bob"}, tt)
			assert.Error(t, err)
		})
		synctest.Wait()
		for range 10 {
			wg.Go(func() {
				consumer, err := c.find(d.ask, consumerRef{"w", "bob"}, tt)
				assert.NoError(t, err)
				assert.Equal(t, "bob", consumer.Username)
			})
		}
		wg.Wait()
		d.asked = 0
		for range 10 {
			wg.Go(func() { _, _ = c.find(d.ask, consumerRef{"w", "ann"}, tt) })
		}
		wg.Wait()
		assert.Equal(t, 1, d.asked)
	})
}
