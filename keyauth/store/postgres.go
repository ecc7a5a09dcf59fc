package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"kong-go-plugins/keyauth/key"
)

// PostgresOptions are for OpenPostgres; zero fields have the defaults named here.
type PostgresOptions struct {
	DSN       string        // a URL or key=value pairs, as libpq takes them
	Workspace string        // default
	Pool      int           // connections: 8
	Timeout   time.Duration // of a query, and of connecting: 3 s
	Poll      time.Duration // how often changes are looked for: 2 s
}

// Postgres reads the tables of a Kong that runs with a database, so that keys made through Kong's Admin API work, and follows
// the events by which Kong's own nodes learn of changes. It needs SELECT on keyauth_credentials, consumers, workspaces
// and cluster_events, and writes nothing. It belongs behind a Cache.
type Postgres struct {
	pool   *pgxpool.Pool
	o      PostgresOptions
	hasher *key.Hasher
	health health

	start  sync.Once
	notify func(Change)
	stop   context.CancelFunc
	done   chan struct{}
}

var errNeedsKey = errors.New("this store can only be searched by the key itself")

// OpenPostgres checks the DSN and returns at once. While the database cannot be reached, lookups fail.
func OpenPostgres(o PostgresOptions, hasher *key.Hasher, log *slog.Logger) (*Postgres, error) {
	setDefault(&o.Workspace, "default")
	setDefault(&o.Pool, 8)
	setDefault(&o.Timeout, 3*time.Second)
	setDefault(&o.Poll, 2*time.Second)
	config, err := parseDSN(o.DSN)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(o.Pool)
	config.ConnConfig.ConnectTimeout = o.Timeout
	params := config.ConnConfig.RuntimeParams
	params["timezone"] = "UTC"
	if params["application_name"] == "" {
		params["application_name"] = "keyauth"
	}
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		if now, err := parseDSN(o.DSN); err == nil { // its files may have been renewed
			c.Password, c.TLSConfig, c.Fallbacks = now.ConnConfig.Password, now.ConnConfig.TLSConfig, now.ConnConfig.Fallbacks
		}
		return nil
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, newDSNError(o.DSN, err)
	}
	return &Postgres{pool: pool, o: o, hasher: hasher, health: health{log: log, what: "Kong's database"}}, nil
}

// Notify begins to follow changes.
func (p *Postgres) Notify(f func(Change)) {
	p.start.Do(func() {
		p.notify, p.done = f, make(chan struct{})
		ctx, stop := context.WithCancel(context.Background())
		p.stop = stop
		go func() {
			defer close(p.done)
			p.follow(ctx)
		}()
	})
}

// Close ends following and closes the connections.
func (p *Postgres) Close() error {
	p.start.Do(func() {}) // none is started from now on
	if p.stop != nil {
		p.stop()
		<-p.done
	}
	p.pool.Close()
	return nil
}

// Health returns why changes cannot be followed at the moment.
func (p *Postgres) Health() error { return p.health.last() }

// Lookup always fails: Kong's table has the keys in clear.
func (p *Postgres) Lookup(context.Context, key.Digest) (Entry, error) { return Entry{}, errNeedsKey }

// The workspace comes first, so that one which does not exist can be told from a key which does not.
const keyQuery = `
SELECT k.id::text, coalesce(floor(extract(epoch FROM k.created_at))::bigint, 0), coalesce(floor(extract(epoch FROM k.ttl))::bigint, 0), k.tags,
  c.id::text, coalesce(c.username, ''), coalesce(c.custom_id, ''), c.tags,
  coalesce(floor(extract(epoch FROM c.created_at))::bigint, 0), coalesce(floor(extract(epoch FROM c.updated_at))::bigint, 0)
FROM workspaces w
LEFT JOIN (keyauth_credentials k JOIN consumers c ON c.id = k.consumer_id AND c.ws_id = k.ws_id) ON k.ws_id = w.id AND k.key = $1
WHERE w.name = $2`

// RawLookup asks the database. A key whose ttl has passed is returned with it.
func (p *Postgres) RawLookup(ctx context.Context, raw []byte, _ key.Digest) (Entry, error) {
	if len(raw) == 0 || !utf8.Valid(raw) || strings.IndexByte(string(raw), 0) >= 0 {
		return Entry{}, ErrNotFound // no text of the database, and an error of its own if it were sent
	}
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	e, err := p.find(ctx, string(raw))
	if isLost(err) && ctx.Err() == nil {
		p.pool.Reset() // the others were lost with it
		e, err = p.find(ctx, string(raw))
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Entry{}, fmt.Errorf("postgres.workspace: the database has no workspace %q; is it Kong's?", p.o.Workspace)
	case err != nil:
		return Entry{}, postgresError(err)
	case e.ID == "":
		return Entry{}, ErrNotFound
	}
	return e, nil
}

// find returns the zero entry when there is none.
func (p *Postgres) find(ctx context.Context, raw string) (e Entry, err error) {
	var id, consumerID *string
	c := &e.Consumer
	err = p.pool.QueryRow(ctx, keyQuery, raw, p.o.Workspace).Scan(
		&id, &e.CreatedAt, &e.ExpiresAt, &e.Tags, &consumerID, &c.Username, &c.CustomID, &c.Tags, &c.CreatedAt, &c.UpdatedAt)
	if err != nil || id == nil || consumerID == nil {
		return Entry{}, err
	}
	e.ID, c.ID = *id, *consumerID
	e.Hint = key.Hint(raw)
	return e, nil
}

// isLost reports whether a query failed because its connection, which worked before, was lost: the server was restarted, or
// ended it. One that cannot be made is another matter.
func isLost(err error) bool {
	var pg *pgconn.PgError
	var connecting *pgconn.ConnectError
	switch {
	case err == nil, errors.Is(err, pgx.ErrNoRows), errors.As(err, &connecting), pgconn.Timeout(err):
		return false
	case errors.As(err, &pg):
		return slices.Contains([]string{"57P01", "57P02", "57P05"}, pg.Code) // shut down by somebody, by a crash, or idle for too long
	}
	return true
}

const pgBouncer = "a PgBouncer that pools transactions cannot keep prepared statements: add default_query_exec_mode=exec to postgres.dsn"

// postgresError adds what to do to the errors that a first set-up runs into.
func postgresError(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return fmt.Errorf("postgres: %w", err)
	}
	remedy := map[string]string{
		"28P01": "correct the password in postgres.dsn",
		"28000": "correct the user in postgres.dsn, or the server's pg_hba.conf",
		"3D000": "correct the database's name in postgres.dsn",
		"42P01": "is it Kong's database? If so, run kong migrations",
		"42P05": pgBouncer,
		"26000": pgBouncer,
		"42703": "this Kong is older than 3.8; run kong migrations",
		"42501": "GRANT SELECT ON keyauth_credentials, consumers, workspaces, cluster_events TO the user of postgres.dsn",
	}[pg.Code]
	if remedy == "" {
		return fmt.Errorf("postgres: %s (%s)", pg.Message, pg.Code)
	}
	return fmt.Errorf("postgres: %s (%s); %s", pg.Message, pg.Code, remedy)
}
