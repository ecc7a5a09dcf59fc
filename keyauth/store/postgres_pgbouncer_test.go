package store_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/store"
)

// startPgBouncer starts a PgBouncer before the database, which gives transactions of all clients to one connection. It
// returns the reader's DSN there.
func startPgBouncer(t *testing.T, db *kongDB) string {
	t.Helper()
	dir, err := os.MkdirTemp(db.server.root, "pgbouncer-") // where the user that runs it may look
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.Chmod(path, 0o644)) // whatever the umask
		return path
	}
	users := write("users", fmt.Sprintf("%q %q\n", "reader_"+db.name, "reader-secret"))
	for range 5 { // a free port may be taken meanwhile
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		port := l.Addr().(*net.TCPAddr).Port
		require.NoError(t, l.Close())
		config := write("pgbouncer.ini", fmt.Sprintf("[databases]\n%s = host=127.0.0.1 port=%d\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=%d\nunix_socket_dir=\n"+
			"auth_type=plain\nauth_file=%s\npool_mode=transaction\ndefault_pool_size=1\n", db.name, db.server.port, port, users))
		path, err := exec.LookPath("pgbouncer")
		if err != nil {
			path = "/usr/sbin/pgbouncer" // which is not on everybody's path
		}
		bouncer := exec.Command(path, config)
		bouncer.SysProcAttr = db.server.cmd.SysProcAttr // it does not run as root, either
		require.NoError(t, bouncer.Start(), "PgBouncer does not start; is the Debian package pgbouncer there?")
		died := make(chan struct{})
		go func() {
			defer close(died)
			_ = bouncer.Wait()
		}()
		t.Cleanup(func() {
			_ = bouncer.Process.Signal(syscall.SIGKILL)
			<-died
		})
		dsn := strings.Replace(db.dsn, fmt.Sprintf(":%d/", db.server.port), fmt.Sprintf(":%d/", port), 1)
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			c, err := pgx.Connect(t.Context(), dsn)
			if err == nil {
				require.NoError(t, c.Close(t.Context()))
				return dsn
			}
			select {
			case <-died:
				deadline = time.Time{}
			default:
			}
		}
	}
	require.FailNow(t, "PgBouncer does not answer")
	return ""
}

// Behind a PgBouncer that pools transactions, prepared statements of one client are in the way of another one. What is to be
// done is said, and it helps.
func TestPostgresBehindPgBouncer(t *testing.T) {
	t.Parallel()
	db := newKongDB(t)
	db.create(t, given(1, "a"))
	dsn := startPgBouncer(t, db)
	open := func(dsn string) *store.Postgres {
		s, err := store.OpenPostgres(store.PostgresOptions{DSN: dsn, Poll: 20 * time.Millisecond, Timeout: patience}, &hasher, quiet)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, s.Close()) })
		return s
	}
	_, err := rawFind(t.Context(), open(dsn), "a")
	require.NoError(t, err)
	_, err = rawFind(t.Context(), open(dsn), "a")
	require.ErrorContains(t, err, "add default_query_exec_mode=exec to postgres.dsn")

	dsn += "&default_query_exec_mode=exec"
	c := store.NewCache(open(dsn), store.CacheOptions{Positive: time.Hour, Negative: time.Hour, Timeout: patience})
	for _, s := range []store.Store{c, open(dsn), open(dsn)} {
		e, err := rawFind(t.Context(), s, "a")
		require.NoError(t, err)
		assert.Equal(t, "user1", e.Consumer.Username)
		_, err = rawFind(t.Context(), s, "b")
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	db.create(t, given(2, "b"))
	require.Eventually(t, func() bool { _, err := rawFind(t.Context(), c, "b"); return err == nil }, time.Minute, 5*time.Millisecond, "changes are followed")
}
