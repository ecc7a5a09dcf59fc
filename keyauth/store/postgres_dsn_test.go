package store

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPostgresOptionsThatAreWrong(t *testing.T) {
	t.Parallel()
	const percent = "; write special characters of the password in percent form"
	for dsn, want := range map[string]string{
		"":                                "it is missing; want for instance postgres://",
		"reader hunter2":                  "it cannot be read: failed to parse as keyword/value (invalid keyword/value); write postgres://USER",
		"postgres://u:hunter2@db:port/k":  "it cannot be read: invalid port" + percent,
		"postgres://u:hunter2%zz@db/kong": "it cannot be read: failed to parse as URL (invalid percent-encoded token in password)" + percent,
		"postgres://u:hun/hunter2@db/k":   "it cannot be read: invalid port" + percent,
		"postgres://u:hunter2@[::1/db":    "it cannot be read: failed to parse as URL" + percent,
		"host=db user=u password=hunter2 sslmode=bogus":          "it cannot be read: failed to configure TLS (sslmode is invalid)",
		"host=db password=x connect_timeout=hunter2":             "it cannot be read: invalid connect_timeout; write postgres://USER",
		"postgres://u:x@db/kong?default_query_exec_mode=hunter2": "it cannot be read: invalid default_query_exec_mode" + percent,
		"password='hunter2": "it cannot be read: failed to parse as keyword/value (unterminated quoted string",
	} {
		err := PostgresOptions{DSN: dsn}.Check()
		require.ErrorContains(t, err, "postgres.dsn: "+want, dsn)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

// What a machine lacks is said where the store is opened.
func TestPostgresOptionsWithFiles(t *testing.T) {
	t.Parallel()
	o := PostgresOptions{DSN: "postgres://u:hunter2@db/kong?sslmode=verify-full&sslrootcert=/not/here.pem"}
	require.NoError(t, o.Check())
	_, err := OpenPostgres(o, nil, nil)
	require.ErrorContains(t, err, "postgres.dsn: it cannot be read: failed to configure TLS (unable to read CA file: open /not/here.pem: no such file or directory)")
}

// What stands for a password in a DSN that is wrong is not shown, wherever it stands.
func FuzzParseDSN(f *testing.F) {
	const secret = "hunter2hunter2"
	for _, around := range [][2]string{
		{"postgres://u:", "@db:port/kong"}, {"host=db password=", " x"}, {"", ""}, {"postgres://u:p@db/k?connect_timeout=", ""}, {"password='", ""},
		{"postgres://u:p@db:", "/k"}, {"sslmode=", ""}, {"postgres://[", ""}, {"service=", ""}, {"postgres://u:p@db/k?pool_max_conns=", ""},
	} {
		f.Add(around[0], around[1])
	}
	f.Fuzz(func(t *testing.T, before, behind string) {
		_, err := parseDSN(before + secret + behind)
		var wrong *dsnError
		if err != nil && !(errors.As(err, &wrong) && wrong.isOfFiles()) { // the name of a file is shown
			assert.NotContains(t, err.Error(), secret)
		}
	})
}
