package store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"kong-go-plugins/keyauth/key"
)

// RedisOptions are for OpenRedis; zero fields have the defaults named here.
type RedisOptions struct {
	URL     string // of a server, of sentinels or of a cluster, as parseRedisURL reads it
	Prefix  string // of all names: keyauth:
	TLS     TLSOptions
	Timeout time.Duration // of each question: 1 s
}

// Redis holds keys that many nodes share. It belongs behind a Cache. In the database stand
//
//	keyauth:key:<digest in base64url>   what stands under "key" in a line of a keys file
//	keyauth:consumer:<id>               what stands under "consumer" there
//
// and on the channel keyauth:changes go "key <digest>", "consumer <id>" and "all". A reader needs these rights:
// ACL SETUSER reader on >PASSWORD resetchannels ~keyauth:* &keyauth:changes +get +subscribe +unsubscribe +ping
// and in a cluster also +cluster|slots +cluster|shards. Mirror writes it all.
type Redis struct {
	client redis.UniversalClient
	o      RedisOptions
	health health

	start  sync.Once
	pubsub *redis.PubSub
	stop   context.CancelFunc
	done   chan struct{}
}

// OpenRedis checks the options and returns at once. While the server cannot be reached, lookups fail.
func OpenRedis(o RedisOptions, log *slog.Logger) (*Redis, error) {
	setDefault(&o.Prefix, "keyauth:")
	setDefault(&o.Timeout, time.Second)
	if err := o.Check(); err != nil {
		return nil, err
	}
	options, err := parseRedisURL(o.URL)
	if err != nil {
		return nil, err
	}
	if options.TLSConfig != nil {
		dialer, err := newTLSDialer(o.TLS, o.Timeout)
		if err != nil {
			return nil, fmt.Errorf("redis.%w", err)
		}
		options.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialer.dial(ctx, network, address)
		}
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = o.Timeout, o.Timeout, o.Timeout
	options.ContextTimeoutEnabled = true
	options.MaxRetries, options.DialerRetries = 1, 1
	options.DisableIdentity = true // asks for a right more
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	quietRedis()
	return &Redis{client: redis.NewUniversalClient(options), o: o, health: health{log: log, what: "Redis"}}, nil
}

// quietRedis ends the library's own log, which goes to stderr: Health has the same.
var quietRedis = sync.OnceFunc(func() { redis.SetLogger(noLog{}) }) // read-only

type noLog struct{}

func (noLog) Printf(context.Context, string, ...any) {}

// Notify begins to follow changes.
func (r *Redis) Notify(f func(Change)) {
	r.start.Do(func() {
		ctx, stop := context.WithCancel(context.Background())
		r.stop, r.done = stop, make(chan struct{})
		r.pubsub = r.client.Subscribe(ctx, r.channel())
		go func() {
			defer close(r.done)
			for ctx.Err() == nil {
				r.receive(ctx, f)
			}
		}()
	})
}

// Close ends following and closes the connections.
func (r *Redis) Close() error {
	r.start.Do(func() {}) // none is started from now on
	if r.stop != nil {
		r.stop()
		_ = r.pubsub.Close() // ends a waiting read
		<-r.done
	}
	return r.client.Close()
}

// Health returns why changes cannot be followed at the moment.
func (r *Redis) Health() error { return r.health.last() }

func (r *Redis) channel() string             { return r.o.Prefix + "changes" }
func (r *Redis) keyName(d key.Digest) string { return r.o.Prefix + "key:" + digestText(d) }
func (r *Redis) consumerName(id string) string {
	return r.o.Prefix + "consumer:" + id
}

func digestText(d key.Digest) string { return base64.RawURLEncoding.EncodeToString(d[:]) }

// Lookup asks the server, and once more for the consumer.
func (r *Redis) Lookup(ctx context.Context, d key.Digest) (Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*r.o.Timeout)
	defer cancel()
	var k keyLine
	if err := r.get(ctx, r.keyName(d), &k); err != nil {
		return Entry{}, err
	}
	if !k.Hash.Digest.Equal(d) || k.ID == "" {
		return Entry{}, errors.New("redis: the entry of this key has another hash, or no id; import it again")
	}
	e := k.entry()
	if k.Consumer == "" {
		return e, nil
	}
	err := r.get(ctx, r.consumerName(k.Consumer), &e.Consumer)
	switch {
	case errors.Is(err, ErrNotFound):
		return e, nil
	case err != nil:
		return Entry{}, err
	case e.Consumer.ID != k.Consumer:
		return Entry{}, errors.New("redis: the entry of this key's consumer has another id; import it again")
	}
	e.ConsumerRef = ""
	return e, nil
}

func (r *Redis) get(ctx context.Context, name string, into any) error {
	text, err := r.client.Get(ctx, name).Bytes()
	if errors.Is(err, redis.Nil) {
		return ErrNotFound
	}
	if err != nil {
		return redisError(err)
	}
	// A limit that is not understood must not be passed over.
	if err := json.Unmarshal(text, into, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("redis: the entry of this key cannot be read: %w; import it again", plain(err))
	}
	return nil
}

func redisError(err error) error {
	text := err.Error()
	for start, remedy := range map[string]string{
		"NOAUTH":    "write user and password into redis.url",
		"WRONGPASS": "correct user and password in redis.url",
		"NOPERM":    "give the user of redis.url the rights +get +subscribe +unsubscribe +ping on ~keyauth:* and &keyauth:changes",
	} {
		if strings.HasPrefix(text, start) {
			return fmt.Errorf("redis: %s; %s", start, remedy)
		}
	}
	return fmt.Errorf("redis: %w", explainTLS("redis", err))
}

// pingEvery is how long a subscription may be silent before the server is asked whether it is still there.
const pingEvery = 10 * time.Second

// receive waits for one message. Each time that the subscription was made anew, messages may have been missed.
func (r *Redis) receive(ctx context.Context, f func(Change)) {
	defer func() {
		if p := recover(); p != nil {
			r.health.set(fmt.Errorf("panic: %v", p))
			f(Change{All: true})
		}
	}()
	message, err := r.pubsub.ReceiveTimeout(ctx, pingEvery)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() && ctx.Err() == nil {
		if err = r.pubsub.Ping(ctx); err == nil {
			message, err = r.pubsub.ReceiveTimeout(ctx, r.o.Timeout)
		}
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		r.health.set(redisError(err))
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		return
	}
	switch m := message.(type) {
	case *redis.Subscription:
		r.health.set(nil)
		f(Change{Missed: true})
	case *redis.Message:
		f(parseChange(m.Payload))
	}
}

// parseChange reads a message; one that is not understood may mean anything.
func parseChange(text string) Change {
	kind, value, _ := strings.Cut(text, " ")
	switch kind {
	case "key":
		if d, err := base64.RawURLEncoding.DecodeString(value); err == nil && len(d) == len(key.Digest{}) {
			return Change{Digest: key.Digest(d)}
		}
	case "consumer":
		if value != "" {
			return Change{ConsumerID: value}
		}
	}
	return Change{All: true}
}
