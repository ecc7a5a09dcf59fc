package keyauth

import (
	"sync"
	"time"
	"unicode/utf8"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/entities"
	"golang.org/x/sync/singleflight"
)

// consumers remembers what Kong said of consumers, by what they were asked by: an id or a username. Kong does not cache
// the question itself. Safe for concurrent use; the zero value is empty.
//
// Kong gives the same answer, nothing, for a consumer that does not exist and for a database that is away: after a good
// answer, nothing counts as "away" for the grace time.
type consumers struct {
	mu      sync.RWMutex
	known   map[consumerRef]knownConsumer
	flights singleflight.Group
}

// A consumerRef names a consumer as credentials do.
type consumerRef struct {
	workspace string // Kong's id of it: consumers of one name can be in each
	name      string // id or username
}

// A knownConsumer is what Kong said last.
type knownConsumer struct {
	consumer *entities.Consumer // that Kong named last; nil when it never did; never changed
	good     time.Time          // when it was named
	asked    time.Time          // the last time, named or not
}

// times say how long answers count.
type times struct {
	positive, negative, stale time.Duration
}

// at says who the consumer is for those who want these times, and whether that need not be asked again.
func (k *knownConsumer) at(now time.Time, t times) (consumer *entities.Consumer, fresh bool) {
	age := now.Sub(k.asked)
	switch {
	case k.consumer != nil && k.asked.Equal(k.good):
		return k.consumer, age < t.positive
	case k.consumer != nil && now.Sub(k.good) < t.positive+t.stale:
		return k.consumer, age < min(t.negative, t.stale)
	}
	return nil, age < t.negative
}

// maxConsumers bounds the memory. What is asked for stands in credentials, which no client can make up.
const maxConsumers = 100_000

// A loader asks Kong for a consumer by id or username: Client.LoadConsumer. It returns the zero value for none.
type loader func(name string) (entities.Consumer, error)

// loaderOf asks on the connection of one event.
func loaderOf(kong *pdk.PDK) loader {
	return func(name string) (entities.Consumer, error) { return kong.Client.LoadConsumer(name, true) }
}

// find returns a consumer by id or username, nil when there is none. The error is that of the connection to Kong.
func (c *consumers) find(ask loader, ref consumerRef, t times) (*entities.Consumer, error) {
	now := time.Now()
	c.mu.RLock()
	k, ok := c.known[ref]
	c.mu.RUnlock()
	if ok {
		if consumer, fresh := k.at(now, t); fresh {
			return consumer, nil
		}
	}
	if ref.name == "" || !utf8.ValidString(ref.name) {
		return nil, nil // Kong could not even be asked
	}
	load := func() (any, error) { return c.load(ask, ref) }
	v, err, shared := c.flights.Do(ref.workspace+" "+ref.name, load)
	if err != nil && shared { // another request's connection was lost; this one's may be well
		v, err = load()
	}
	if err != nil {
		return nil, err
	}
	k, _ = v.(knownConsumer)
	consumer, _ := k.at(time.Now(), t)
	return consumer, nil
}

// load asks Kong.
func (c *consumers) load(ask loader, ref consumerRef) (k knownConsumer, err error) {
	answer, err := ask(ref.name)
	if err != nil {
		return k, err
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	k, known := c.known[ref]
	if k.asked = now; answer.Id != "" {
		k.consumer, k.good = &answer, now
	}
	if c.known == nil {
		c.known = map[consumerRef]knownConsumer{}
	}
	if !known && len(c.known) >= maxConsumers {
		for other := range c.known { // any
			delete(c.known, other)
			break
		}
	}
	c.known[ref] = k
	return k, nil
}
