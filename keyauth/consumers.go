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

// A knownConsumer is Kong's last answer.
type knownConsumer struct {
	consumer *entities.Consumer // nil when there is none; never changed
	good     time.Time          // when Kong last named it
	until    time.Time          // when it is asked again
}

// times say how long answers count.
type times struct {
	positive, negative, stale time.Duration
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
	if ok && now.Before(k.until) {
		return k.consumer, nil
	}
	if ref.name == "" || !utf8.ValidString(ref.name) {
		return nil, nil // Kong could not even be asked
	}
	load := func() (any, error) { return c.load(ask, ref, t) }
	v, err, shared := c.flights.Do(ref.workspace+" "+ref.name, load)
	if err != nil && shared { // another request's connection was lost; this one's may be well
		v, err = load()
	}
	if err != nil {
		return nil, err
	}
	consumer, _ := v.(*entities.Consumer)
	return consumer, nil
}

// load asks Kong.
func (c *consumers) load(ask loader, ref consumerRef, t times) (*entities.Consumer, error) {
	answer, err := ask(ref.name)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.known[ref]
	switch {
	case answer.Id != "":
		k = knownConsumer{consumer: &answer, good: now, until: now.Add(t.positive)}
	case k.consumer != nil && now.Sub(k.good) < t.positive+t.stale:
		k.until = now.Add(min(t.negative, t.stale))
	default:
		k = knownConsumer{until: now.Add(t.negative)}
	}
	if c.known == nil {
		c.known = map[consumerRef]knownConsumer{}
	}
	if _, ok := c.known[ref]; !ok && len(c.known) >= maxConsumers {
		for other := range c.known { // any
			delete(c.known, other)
			break
		}
	}
	c.known[ref] = k
	return k.consumer, nil
}
