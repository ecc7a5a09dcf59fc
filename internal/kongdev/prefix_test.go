package kongdev

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Somebody who still makes files does not keep the folder alive once it has ended.
func TestRemovePrefix(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "prefix")
	require.NoError(t, os.Mkdir(dir, 0o700))
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 2000 {
			if os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600) != nil {
				return // it is gone
			}
		}
	})
	assert.NoError(t, RemovePrefix(dir))
	wg.Wait()
	assert.NoDirExists(t, dir)
}
