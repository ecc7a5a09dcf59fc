package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// kongTables are Kong's, as they stand after all its migrations, as far as a reader of keys sees them.
const kongTables = `
CREATE TABLE workspaces (id uuid PRIMARY KEY, name text UNIQUE, comment text, created_at timestamptz DEFAULT now(), meta jsonb, config jsonb);
CREATE TABLE consumers (
  id uuid PRIMARY KEY, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(), username text, custom_id text, tags text[],
  ws_id uuid REFERENCES workspaces (id), UNIQUE (id, ws_id), UNIQUE (ws_id, username), UNIQUE (ws_id, custom_id));
CREATE INDEX consumers_username_idx ON consumers (lower(username));
CREATE TABLE keyauth_credentials (
  id uuid PRIMARY KEY, created_at timestamptz DEFAULT now(), consumer_id uuid, key text, tags text[], ttl timestamptz,
  ws_id uuid REFERENCES workspaces (id), UNIQUE (id, ws_id), UNIQUE (ws_id, key),
  FOREIGN KEY (consumer_id, ws_id) REFERENCES consumers (id, ws_id) ON DELETE CASCADE);
CREATE INDEX keyauth_credentials_consumer_id_idx ON keyauth_credentials (consumer_id);
CREATE INDEX keyauth_credentials_ttl_idx ON keyauth_credentials (ttl);
CREATE INDEX keyauth_tags_idex_tags_idx ON keyauth_credentials USING GIN (tags);
CREATE TABLE cluster_events (
  id uuid PRIMARY KEY, node_id uuid NOT NULL, at timestamptz NOT NULL, nbf timestamptz, expire_at timestamptz NOT NULL, channel text, data text);
CREATE INDEX cluster_events_at_idx ON cluster_events (at);
CREATE INDEX cluster_events_channel_idx ON cluster_events (channel);
CREATE INDEX cluster_events_expire_at_idx ON cluster_events (expire_at);

CREATE FUNCTION batch_delete_expired_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('WITH rows AS (SELECT ctid FROM %s WHERE %s < CURRENT_TIMESTAMP ORDER BY %s LIMIT 2 FOR UPDATE SKIP LOCKED)
    DELETE FROM %s WHERE ctid IN (TABLE rows)', TG_TABLE_NAME, TG_ARGV[0], TG_ARGV[0], TG_TABLE_NAME);
  RETURN NULL;
END $$;
CREATE TRIGGER keyauth_credentials_ttl_trigger AFTER INSERT ON keyauth_credentials
  FOR EACH STATEMENT EXECUTE PROCEDURE batch_delete_expired_rows('ttl');
CREATE TRIGGER cluster_events_ttl_trigger AFTER INSERT ON cluster_events
  FOR EACH STATEMENT EXECUTE PROCEDURE batch_delete_expired_rows('expire_at');

INSERT INTO workspaces (id, name) VALUES ('0dca7a5e-0000-4000-8000-000000000001', 'default');
CREATE ROLE reader LOGIN PASSWORD 'reader-secret';
GRANT SELECT ON keyauth_credentials, consumers, workspaces, cluster_events TO reader;
CREATE ROLE stranger LOGIN PASSWORD 'stranger-secret';
`

const workspaceID = "0dca7a5e-0000-4000-8000-000000000001"

// A pgServer is a PostgreSQL of its own, on a free port, in a temporary folder.
type pgServer struct {
	port int
	cmd  *exec.Cmd
	root string
}

var (
	postgresOnce = sync.OnceValues(startPostgres)
	ended        []func() // by TestMain
	databases    atomic.Int64
)

func postgresServer(t *testing.T) *pgServer {
	t.Helper()
	s, err := postgresOnce()
	require.NoError(t, err, "PostgreSQL does not start; is the Debian package postgresql there?")
	return s
}

func startPostgres() (*pgServer, error) {
	bin, err := postgresFolder()
	if err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp("", "keyauth-postgres-")
	if err != nil {
		return nil, err
	}
	ended = append(ended, func() { os.RemoveAll(root) })
	as := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(root, uid, gid); err != nil {
			return nil, err
		}
	}
	password := filepath.Join(root, "password")
	if err := errors.Join(os.WriteFile(password, []byte("kong-secret"), 0o600), os.Chmod(password, 0o644)); err != nil { // whatever the umask
		return nil, err
	}
	data := filepath.Join(root, "data")
	init := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "kong", "--pwfile", password, "-A", "scram-sha-256", "-E", "UTF8",
		"--locale=C", "--no-sync")
	init.SysProcAttr, init.Dir = as, root
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	for range 5 { // a free port may be taken meanwhile
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		s := &pgServer{port: l.Addr().(*net.TCPAddr).Port, root: root}
		l.Close()
		s.cmd = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(s.port), "-k", "", // no socket, whose path might be too long
			"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=200",
			"-c", "autovacuum=off") // in template1 it is in the way of who makes a database
		s.cmd.SysProcAttr, s.cmd.Dir = as, root
		if err := s.cmd.Start(); err != nil {
			return nil, err
		}
		died := make(chan struct{})
		go func() {
			_ = s.cmd.Wait()
			close(died)
		}()
		if err := s.waitReady(died); err == nil {
			ended = append([]func(){func() {
				_ = s.cmd.Process.Signal(syscall.SIGINT)
				<-died
			}}, ended...)
			return s, nil
		}
	}
	return nil, errors.New("the server ends at its start")
}

func postgresFolder() (string, error) {
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	return filepath.Dir(path), err
}

func (s *pgServer) waitReady(died chan struct{}) error {
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		select {
		case <-died:
			return errors.New("it died")
		default:
		}
		c, err := pgx.Connect(context.Background(), s.dsn("kong", "kong-secret", "postgres"))
		if err == nil {
			return c.Close(context.Background())
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.New("it does not answer")
}

func (s *pgServer) dsn(name, password, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(name, password), Host: fmt.Sprintf("127.0.0.1:%d", s.port), Path: database}
	return u.String() + "?sslmode=disable"
}

// kongDB is a database with Kong's tables.
type kongDB struct {
	*pgx.Conn
	dsn      string // of a user that may read
	stranger string // of one that may not
	name     string
	server   *pgServer
}

func newKongDB(t *testing.T) *kongDB {
	t.Helper()
	s := postgresServer(t)
	name := fmt.Sprintf("kong_%d", databases.Add(1))
	admin, err := pgx.Connect(t.Context(), s.dsn("kong", "kong-secret", "postgres"))
	require.NoError(t, err)
	defer admin.Close(context.Background())
	_, err = admin.Exec(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	c, err := pgx.Connect(t.Context(), s.dsn("kong", "kong-secret", name))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(context.Background()) })
	_, err = c.Exec(t.Context(), strings.NewReplacer("ROLE reader", "ROLE reader_"+name, "TO reader", "TO reader_"+name, "ROLE stranger", "ROLE stranger_"+name).Replace(kongTables))
	require.NoError(t, err)
	return &kongDB{Conn: c, name: name, server: s, dsn: s.dsn("reader_"+name, "reader-secret", name), stranger: s.dsn("stranger_"+name, "stranger-secret", name)}
}
