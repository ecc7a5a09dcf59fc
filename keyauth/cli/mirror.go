package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

type mirror struct {
	urlFile, prefix string
	tls             store.TLSOptions
	follow, empty   bool

	sample *key.Digest // of a key that the Redis was given; nil: none
}

func defineMirror(f *flag.FlagSet) func(*session) error {
	var m mirror
	f.StringVar(&m.urlFile, "redis-url-file", "", "`file` with the address of the Redis, as the plugin's parameter redis.url; it holds a password, so it is not given here")
	f.StringVar(&m.prefix, "redis-prefix", "keyauth:", "what all names in the database begin with, the plugin's redis.prefix; a `text`")
	f.StringVar(&m.tls.CA, "ca", "", "`file` with the authorities that may certify the Redis, instead of the system's")
	f.StringVar(&m.tls.Cert, "cert", "", "`file` with a client certificate for the Redis")
	f.StringVar(&m.tls.Key, "cert-key", "", "`file` with its private key")
	f.BoolVar(&m.follow, "follow", false, "go on until a TERM or INT: mirror each change of the keys file, and once a minute everything")
	f.BoolVar(&m.empty, "empty", false, "take all keys out of the Redis when the keys file has none; else that is refused")
	return m.run
}

// mirrorTimeout is for one flight of many entries.
const mirrorTimeout = 10 * time.Second

// run makes a Redis have what the keys file has.
func (m *mirror) run(s *session) error {
	redis, err := m.open()
	if err != nil {
		return err
	}
	defer func() { _ = redis.Close() }() // what was written was acknowledged
	admin, err := s.open()
	if err != nil {
		return err
	}
	if m.follow {
		m.goOn(s, admin, redis)
		return nil
	}
	_, err = m.once(s, admin, redis, true)
	return err
}

// open checks what the flags say of the Redis; it is not asked yet.
func (m *mirror) open() (*store.Redis, error) {
	if m.urlFile == "" {
		return nil, usagef("-redis-url-file: it is missing; write the address into a file that only you can read, for instance redis://USER:PASSWORD@redis.internal:6379/0")
	}
	text, err := os.ReadFile(m.urlFile)
	if err != nil {
		return nil, fmt.Errorf("-redis-url-file: %w", err)
	}
	o := store.RedisOptions{URL: strings.TrimSpace(string(text)), Prefix: m.prefix, TLS: m.tls, Timeout: mirrorTimeout}
	redis, err := store.OpenRedis(o, slog.New(slog.DiscardHandler))
	return redis, flagsOf(err)
}

// flagsOf names flags in an error that names the plugin's parameters.
func flagsOf(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.NewReplacer("redis.url", "-redis-url-file", "redis.key", "-cert-key", " or redis.server_name", "", "redis.", "-").Replace(err.Error()))
}

// A mirroring is what the command prints as JSON.
type mirroring struct {
	Keys    int `json:"keys"`
	Written int `json:"written"` // entries that were new or different, consumers included
	Removed int `json:"removed"`
}

// once mirrors everything. It prints what it did, or only when it did something.
func (m *mirror) once(s *session, admin store.Admin, redis *store.Redis, always bool) (done mirroring, err error) {
	if _, err := os.Stat(s.path()); errors.Is(err, fs.ErrNotExist) && !m.empty {
		return done, fmt.Errorf("%s does not exist; nothing was mirrored. keyauth keys create makes it", s.path())
	}
	var consumers []store.Consumer
	if err := eachConsumer(s.ctx, admin, func(c store.Consumer) { consumers = append(consumers, c) }); err != nil {
		return done, err
	}
	var credentials []store.Credential
	if err := each(s.ctx, admin, store.CredentialQuery{}, func(c store.Credential) { credentials = append(credentials, c) }); err != nil {
		return done, err
	}
	changed, err := redis.Mirror(s.ctx, consumers, credentials, m.empty)
	if errors.Is(err, store.ErrMirrorEmpty) {
		return done, fmt.Errorf("%s has no key, and the Redis has some: nothing was changed; -empty takes them out", s.path())
	}
	if err != nil {
		return done, flagsOf(err)
	}
	if m.sample = nil; len(credentials) > 0 {
		m.sample = &credentials[0].Hash.Digest
	}
	done = mirroring{len(credentials), changed.Written, changed.Removed}
	if !always && done.Written+done.Removed == 0 {
		return done, nil
	}
	if s.isJSON() {
		return done, s.printJSON(done)
	}
	return done, printTable(s.out, [][]string{
		{fmt.Sprint(done.Keys), "keys in " + s.path()}, {fmt.Sprint(done.Written), "entries written"}, {fmt.Sprint(done.Removed), "entries removed"}})
}

// How often the keys file and one key in the Redis are looked at, and everything is mirrored whether or not these have changed:
// a Redis may have lost some of what it had.
const (
	lookEvery   = time.Second
	mirrorEvery = time.Minute
)

// goOn mirrors until the session ends. What fails is said, and tried again.
func (m *mirror) goOn(s *session, admin store.Admin, redis *store.Redis) {
	var seen fs.FileInfo
	var last time.Time
	said := ""
	for {
		now, err := os.Stat(s.path())
		if err != nil || said != "" || s.now().Sub(last) >= mirrorEvery || !isSame(seen, now) || m.isLost(s.ctx, redis) {
			_, err = m.once(s, admin, redis, last.IsZero())
			switch {
			case s.ctx.Err() != nil:
				return
			case err == nil:
				if said != "" {
					s.note("the mirror works again")
				}
				seen, last, said = now, s.now(), ""
			case store.Text(err) != said:
				said = store.Text(err)
				s.note("trying again: %s", said)
			}
		}
		if !sleep(s.ctx, lookEvery) {
			return
		}
	}
}

// isLost reports whether the Redis does not have a key that it was given: it was restarted without its data, or another one
// has taken its place. Until it is mirrored again, readers refuse good keys.
func (m *mirror) isLost(ctx context.Context, redis *store.Redis) bool {
	if m.sample == nil {
		return false
	}
	_, err := redis.Lookup(ctx, *m.sample)
	return errors.Is(err, store.ErrNotFound)
}

// isSame reports whether a file has not changed. One may be nil, for a file that was not seen.
func isSame(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// sleep returns false when ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
