package store

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A file that may not be read, or cannot at the moment, is tried again: what lets it be read does not change it. What is wrong in
// it is found once.
func TestFileThatCannotBeReadIsTriedAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	for _, c := range []struct {
		err   error
		loads int
	}{
		{&fs.PathError{Op: "open", Path: path, Err: syscall.EACCES}, 3},
		{errors.Join(errors.New("line 1"), &fs.PathError{Op: "read", Path: path, Err: syscall.ESTALE}), 3},
		{errors.New("line 1: it is not one JSON object"), 1},
	} {
		w := newWatched(path, slog.New(slog.DiscardHandler))
		loads := 0
		w.load = func(bool) error {
			if loads++; loads < 3 {
				return c.err
			}
			return nil
		}
		w.look(true)
		require.ErrorIs(t, w.health(), c.err)
		for range 5 {
			w.look(false)
		}
		assert.Equal(t, c.loads, loads, c.err)
		assert.Equal(t, c.loads == 1, w.health() != nil)
	}
}
