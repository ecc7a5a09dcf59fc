package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"kong-go-plugins/keyauth/key"
)

// keptAfterExpiry is how long Redis keeps an entry whose key has expired, so that it can be told from an unknown one.
const keptAfterExpiry = 24 * time.Hour

// importBatch is how many entries are written in one transaction.
const importBatch = 500

// Import stores everything given, in the place of what has the same ids and digests, and tells all readers.
func (r *Redis) Import(ctx context.Context, consumers []Consumer, credentials []Credential) error {
	for _, c := range consumers {
		if c.ID == "" {
			return errors.New("consumer.id: it is missing")
		}
	}
	for _, c := range credentials {
		if err := checkID("key", c.ID, c.Hash); err != nil {
			return err
		}
	}
	for len(consumers) > 0 || len(credentials) > 0 {
		people, keys := consumers[:min(importBatch, len(consumers))], credentials[:min(importBatch, len(credentials))]
		consumers, credentials = consumers[len(people):], credentials[len(keys):]
		_, err := r.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
			for _, c := range people {
				p.Set(ctx, r.consumerName(c.ID), jsonText(c), 0)
				p.Publish(ctx, r.channel(), "consumer "+c.ID)
			}
			for _, c := range keys {
				r.put(ctx, p, c)
			}
			return nil
		})
		if err != nil {
			return redisError(err)
		}
	}
	return nil
}

func (r *Redis) put(ctx context.Context, p redis.Pipeliner, c Credential) {
	l, name := newKeyLine(c), r.keyName(c.Hash.Digest)
	p.Set(ctx, name, jsonText(l), 0)
	if c.ExpiresAt != 0 {
		end := time.Unix(max(c.ExpiresAt, time.Now().Unix()), 0)
		p.ExpireAt(ctx, name, end.Add(keptAfterExpiry))
	}
	if l.Consumer != "" {
		p.SAdd(ctx, r.keysOf(l.Consumer), digestText(c.Hash.Digest))
	}
	p.Publish(ctx, r.channel(), "key "+digestText(c.Hash.Digest))
}

// jsonText is what Redis keeps of v, which holds nothing that JSON cannot.
func jsonText(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// Remove takes a key away. It returns ErrNotFound when there is none of this digest.
func (r *Redis) Remove(ctx context.Context, d key.Digest) error {
	var k keyLine
	if err := r.get(ctx, r.keyName(d), &k); err != nil {
		return err
	}
	_, err := r.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, r.keyName(d))
		p.SRem(ctx, r.keysOf(k.Consumer), digestText(d))
		p.Publish(ctx, r.channel(), "key "+digestText(d))
		return nil
	})
	if err != nil {
		return redisError(err)
	}
	return nil
}

// RemoveConsumer takes a consumer and all its keys away.
func (r *Redis) RemoveConsumer(ctx context.Context, id string) error {
	// Until nobody adds a key between reading the set and removing what is in it.
	for {
		err := r.client.Watch(ctx, func(tx *redis.Tx) error {
			names, err := r.namesOf(ctx, tx, id)
			if err != nil {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Del(ctx, append(names, r.consumerName(id), r.keysOf(id))...)
				p.Publish(ctx, r.channel(), "consumer "+id)
				return nil
			})
			return err
		}, r.keysOf(id))
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, redis.TxFailedErr):
			return redisError(err)
		}
	}
}

// namesOf returns the names of a consumer's keys. The set may hold others, that have moved to another consumer or are gone.
func (r *Redis) namesOf(ctx context.Context, tx *redis.Tx, id string) (names []string, err error) {
	digests, err := tx.SMembers(ctx, r.keysOf(id)).Result()
	if err != nil {
		return nil, err
	}
	for _, d := range digests {
		var k keyLine
		name := r.o.Prefix + "key:" + d
		text, err := tx.Get(ctx, name).Bytes()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, err
		}
		if err == nil && (json.Unmarshal(text, &k) != nil || k.Consumer == id) {
			names = append(names, name)
		}
	}
	return names, nil
}
