package store

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Check says what is wrong with the options, as far as neither a file nor a server can put it right.
func (o PostgresOptions) Check() error {
	_, err := parseDSN(o.DSN)
	var wrong *dsnError
	if errors.As(err, &wrong) && wrong.isOfFiles() {
		return nil // they may come to this machine later
	}
	return err
}

func parseDSN(dsn string) (*pgxpool.Config, error) {
	if dsn == "" {
		return nil, errors.New("postgres.dsn: it is missing; want for instance postgres://reader:PASSWORD@db.internal:5432/kong")
	}
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, newDSNError(dsn, err)
	}
	return config, nil
}

// A dsnError says why a DSN cannot be used. It shows nothing of it: a password may stand anywhere in one that is wrong.
type dsnError struct{ reason, remedy string }

func (e *dsnError) Error() string { return "postgres.dsn: it cannot be read: " + e.reason + e.remedy }

func newDSNError(dsn string, err error) *dsnError {
	reason := err.Error()
	if end := strings.LastIndex(reason, "`: "); end >= 0 { // what stands before repeats the DSN
		reason = reason[end+len("`: "):]
	}
	e := &dsnError{reason: reason}
	if what, why, ok := strings.Cut(reason, " ("); ok && strings.Contains(why, `"`) {
		e.reason = what // the rest repeats a value
	}
	switch {
	case e.isOfFiles() || strings.Contains(reason, "sslmode"):
	case strings.Contains(dsn, "://"):
		e.remedy = "; write special characters of the password in percent form: %40 for @, %3A for :, %2F for /, %25 for %"
	default:
		e.remedy = "; write postgres://USER:PASSWORD@HOST:5432/DATABASE, or pairs such as host=HOST user=USER password='PASSWORD'"
	}
	return e
}

// isOfFiles reports whether the DSN names files that cannot be used.
func (e *dsnError) isOfFiles() bool {
	return strings.HasPrefix(e.reason, "failed to read ") ||
		strings.HasPrefix(e.reason, "failed to configure TLS") && !strings.Contains(e.reason, "sslmode is invalid")
}
