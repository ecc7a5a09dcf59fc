package kv

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// RedisOptions say where a Redis is. Addresses are host:port: of the server, of sentinels when there is a Master, of some
// nodes of the cluster when there is one.
type RedisOptions struct {
	Addresses []string
	Cluster   bool
	Master    string // the name that the sentinels know
	Role      string // with sentinels, who is read: master (or nothing), slave, any; written to is always the master

	Username, Password                 string
	SentinelUsername, SentinelPassword string
	Database                           int
	TLS                                *tls.Config // nil is none

	ConnectTimeout, SendTimeout, ReadTimeout time.Duration // 2 s each

	PoolSize     int  // connections to a server: 256, 10000 at most
	MaxWaiting   *int // who waits for a connection beyond; nil is any number
	MaxRedirects int  // in a cluster: 5
	Proxied      bool // the address is a proxy's, which knows plain commands only
}

// Redis keeps entries in a Redis, where many processes share them. In the database stand
//
//	datakit:<key>   {"value": …, "fresh_until": <milliseconds since 1970, if not as long as it is there>}
//
// A user needs the rights ~datakit:* +get +set, and in a cluster +cluster|slots or +cluster|shards.
type Redis struct {
	client  redis.UniversalClient
	timeout time.Duration // of one question, whatever happens
	waiting chan struct{}
	outage  outage
}

const redisPrefix = "datakit:"

// quiet keeps the client from writing a line to stderr for each try of each connection. Errors come with the questions.
var quiet = sync.OnceFunc(func() { redis.SetLogger(noLog{}) }) // read-only

type noLog struct{}

func (noLog) Printf(context.Context, string, ...any) {}

// OpenRedis returns at once. While the server cannot be reached, every question fails in time.
func OpenRedis(o RedisOptions) *Redis {
	quiet()
	for _, t := range []*time.Duration{&o.ConnectTimeout, &o.SendTimeout, &o.ReadTimeout} {
		if *t <= 0 {
			*t = 2 * time.Second
		}
	}
	if o.PoolSize <= 0 {
		o.PoolSize = 256
	}
	o.PoolSize = min(o.PoolSize, 10_000) // the client makes room for all of them
	if o.MaxRedirects <= 0 {
		o.MaxRedirects = 5
	}
	u := &redis.UniversalOptions{
		Addrs: o.Addresses, IsClusterMode: o.Cluster, MasterName: o.Master, DB: o.Database,
		Username: o.Username, Password: o.Password, SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword,
		TLSConfig: o.TLS, PoolSize: o.PoolSize, MaxIdleConns: o.PoolSize, MaxRedirects: o.MaxRedirects,
		DialTimeout: o.ConnectTimeout, WriteTimeout: o.SendTimeout, ReadTimeout: o.ReadTimeout, PoolTimeout: o.ConnectTimeout,
		ContextTimeoutEnabled: true, MaxRetries: 1, DialerRetries: 1,
		DisableIdentity:          true, // asks for a right more
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if o.Proxied {
		u.Protocol = 2
	}
	if o.Master != "" {
		u.ReadOnly = o.Role == "slave"
		u.RouteRandomly = o.Role == "any"
		u.IsClusterMode = u.ReadOnly || u.RouteRandomly // reads and writes go different ways
	}
	r := &Redis{client: redis.NewUniversalClient(u), timeout: o.ConnectTimeout + o.SendTimeout + o.ReadTimeout}
	if o.MaxWaiting != nil {
		r.waiting = make(chan struct{}, o.PoolSize+*o.MaxWaiting)
	}
	return r
}

// Close closes the connections.
func (r *Redis) Close() error { return r.client.Close() }

// Load asks for the entry of a key.
func (r *Redis) Load(ctx context.Context, key string) (e Entry, ok bool, err error) {
	var text []byte
	err = r.ask(ctx, func(ctx context.Context) (err error) {
		text, err = r.client.Get(ctx, redisPrefix+key).Bytes()
		return err
	})
	if errors.Is(err, redis.Nil) {
		return e, false, nil
	}
	if err != nil {
		return e, false, err
	}
	e, err = decodeEntry(text)
	return e, err == nil, err
}

// Save writes an entry.
func (r *Redis) Save(ctx context.Context, key string, e Entry, keep time.Duration) error {
	text, err := encodeEntry(e)
	if err != nil {
		return err
	}
	return r.ask(ctx, func(ctx context.Context) error { return r.client.Set(ctx, redisPrefix+key, text, keep).Err() })
}

var errBusy = errors.New("redis: too many wait for a connection (keepalive_pool_size, keepalive_backlog)")

// silence is how long a server may say nothing without being away, where those who ask have less time than its options
// give it.
const silence = 200 * time.Millisecond

var errSilent = errors.New("redis: no answer within the time of those who asked")

// ask carries out a question within the time of one.
func (r *Redis) ask(ctx context.Context, question func(context.Context) error) error {
	if r.waiting != nil {
		select {
		case r.waiting <- struct{}{}:
			defer func() { <-r.waiting }()
		default:
			return errBusy
		}
	}
	if err := r.outage.refuse(); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	began := time.Now()
	err := question(within)
	if err == nil || errors.Is(err, redis.Nil) {
		r.outage.answered()
		return err
	}
	var said redis.Error // the server's own words
	if errors.As(err, &said) {
		r.outage.answered()
		return explainAnswer(said)
	}
	if ctx.Err() != nil {
		if time.Since(began) >= silence {
			r.outage.failed(errSilent)
		}
		return context.Cause(ctx)
	}
	explained := explainSilence(err)
	if !errors.Is(err, redis.ErrPoolTimeout) { // that is about this side
		r.outage.failed(explained)
	}
	return explained
}

// explainAnswer says what to do about an error of the server, without what the server quotes.
func explainAnswer(err error) error {
	word, _, _ := strings.Cut(err.Error(), " ")
	switch word {
	case "NOAUTH":
		return errors.New("redis: it asks for a password; set username and password")
	case "WRONGPASS":
		return errors.New("redis: the user name or the password is wrong; correct username and password")
	case "NOPERM":
		return errors.New("redis: this user may not do it; give it the rights ~datakit:* +get +set")
	case "WRONGTYPE":
		return errors.New("redis: what stands under this key is not an entry of this cache; remove it")
	case "OOM":
		return errors.New("redis: its memory is full, and it evicts nothing; give it a maxmemory-policy")
	}
	if strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
		return fmt.Errorf("redis: it answers with the error %s", word)
	}
	return errors.New("redis: it answers with an error")
}

// explainSilence says why there is no answer.
func explainSilence(err error) error {
	var network net.Error
	switch {
	case errors.Is(err, redis.ErrPoolTimeout):
		return errors.New("redis: no connection is free (keepalive_pool_size)")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return errors.New("redis: no answer in time (connect_timeout, send_timeout, read_timeout)")
	}
	return fmt.Errorf("redis: %w", err)
}
