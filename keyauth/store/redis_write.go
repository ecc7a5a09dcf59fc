package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// keptAfterExpiry is how long Redis keeps an entry whose key has expired, so that it can be told from an unknown one.
const keptAfterExpiry = 24 * time.Hour

// writeBatch is how many entries are compared and written in one flight.
const writeBatch = 500

// Mirrored is what Mirror has changed.
type Mirrored struct{ Written, Removed int }

// ErrMirrorEmpty says that Mirror would take all keys away.
var ErrMirrorEmpty = errors.New("there is no key to mirror, and Redis has some")

// Mirror makes the database have these consumers and credentials and, under its prefix, no others, and tells all readers of
// what has changed. What is the same already is not written again. Without credentials it changes nothing and returns
// ErrMirrorEmpty where the database has some, unless empty says that this is meant.
// The writer needs the rights +get +set +del +scan +publish +ping.
func (r *Redis) Mirror(ctx context.Context, consumers []Consumer, credentials []Credential, empty bool) (done Mirrored, err error) {
	people, keys := map[string]redisEntry{}, map[string]redisEntry{}
	for _, c := range consumers {
		if c.ID == "" {
			return done, errors.New("consumer.id: it is missing")
		}
		people[r.consumerName(c.ID)] = redisEntry{text: jsonText(c), change: "consumer " + c.ID}
	}
	now := time.Now().Unix()
	for _, c := range credentials {
		if err := checkID("key", c.ID, c.Hash); err != nil {
			return done, err
		}
		e := redisEntry{text: jsonText(newKeyLine(c)), change: "key " + digestText(c.Hash.Digest)}
		if c.ExpiresAt != 0 {
			e.end = time.Unix(max(c.ExpiresAt, now), 0).Add(keptAfterExpiry)
		}
		keys[r.keyName(c.Hash.Digest)] = e
	}
	gone, err := r.others(ctx, "key:", keys)
	if err != nil {
		return done, err
	}
	if len(keys) == 0 && len(gone) > 0 && !empty {
		return done, ErrMirrorEmpty
	}
	goneConsumers, err := r.others(ctx, "consumer:", people)
	if err != nil {
		return done, err
	}
	// What is revoked goes first; consumers are there before their keys and as long as them.
	if done.Removed, err = r.remove(ctx, gone, "key:", "key "); err != nil {
		return done, err
	}
	for _, entries := range []map[string]redisEntry{people, keys} {
		n, err := r.write(ctx, entries)
		done.Written += n
		if err != nil {
			return done, err
		}
	}
	n, err := r.remove(ctx, goneConsumers, "consumer:", "consumer ")
	done.Removed += n
	return done, err
}

// A redisEntry is what is to stand under a name.
type redisEntry struct {
	text   string
	change string    // what readers are told when it was another one
	end    time.Time // when it goes by itself; zero is never
}

// others returns the names of a kind that the database has beside those wanted.
func (r *Redis) others(ctx context.Context, kind string, wanted map[string]redisEntry) (names []string, err error) {
	pattern := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(r.o.Prefix+kind) + "*"
	var mu sync.Mutex
	scan := func(ctx context.Context, node *redis.Client) error {
		each := node.Scan(ctx, 0, pattern, 1000).Iterator()
		for each.Next(ctx) {
			if _, ok := wanted[each.Val()]; !ok {
				mu.Lock()
				names = append(names, each.Val())
				mu.Unlock()
			}
		}
		return each.Err()
	}
	switch c := r.client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, scan)
	case *redis.Client:
		err = scan(ctx, c)
	default:
		err = fmt.Errorf("a client of type %T cannot be searched", c)
	}
	if err != nil {
		return nil, redisError(err)
	}
	slices.Sort(names)
	return slices.Compact(names), nil // a scan may find a name twice
}

// remove takes entries away, and tells of it behind the words of change.
func (r *Redis) remove(ctx context.Context, names []string, kind, change string) (n int, err error) {
	for batch := range slices.Chunk(names, writeBatch) {
		if _, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, name := range batch {
				p.Del(ctx, name)
			}
			return nil
		}); err != nil {
			return n, redisError(err)
		}
		n += len(batch)
		var changes []string
		for _, name := range batch {
			changes = append(changes, change+strings.TrimPrefix(name, r.o.Prefix+kind))
		}
		if err := r.publish(ctx, changes); err != nil {
			return n, err
		}
	}
	return n, nil
}

// write writes the entries that are not there as they should be.
func (r *Redis) write(ctx context.Context, entries map[string]redisEntry) (n int, err error) {
	for names := range slices.Chunk(slices.Sorted(maps.Keys(entries)), writeBatch) {
		present := make([]*redis.StringCmd, len(names))
		var reply redis.Error // that there is nothing, or something else: either is written over
		if _, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, name := range names {
				present[i] = p.Get(ctx, name)
			}
			return nil
		}); err != nil && !errors.As(err, &reply) {
			return n, redisError(err)
		}
		var changes []string
		if _, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, name := range names {
				e := entries[name]
				if text, err := present[i].Result(); err == nil && text == e.text {
					continue
				}
				p.SetArgs(ctx, name, e.text, redis.SetArgs{ExpireAt: e.end})
				changes = append(changes, e.change)
			}
			return nil
		}); err != nil {
			return n, redisError(err)
		}
		n += len(changes)
		if err := r.publish(ctx, changes); err != nil {
			return n, err
		}
	}
	return n, nil
}

// publish tells readers of changes, which are in the database: whoever asks anew gets what is true now.
func (r *Redis) publish(ctx context.Context, changes []string) error {
	if len(changes) == 0 {
		return nil
	}
	if _, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, c := range changes {
			p.Publish(ctx, r.channel(), c)
		}
		return nil
	}); err != nil {
		return redisError(err)
	}
	return nil
}

// jsonText is what Redis keeps of v, which holds nothing that JSON cannot.
func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
