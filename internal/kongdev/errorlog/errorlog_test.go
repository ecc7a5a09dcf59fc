package errorlog

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestErrorLogHook(t *testing.T) {
	var out bytes.Buffer
	log, err := New(&out, "warn")
	require.NoError(t, err)
	var lines []string
	log.Hook = func(l Line) { lines = append(lines, l.Level+" "+l.Text) }
	log.Printf(Debug, "noise")
	log.Printf(Info, "[p:%d] says", 7)
	log.Printf(Err, "bad")
	assert.Equal(t, []string{"info [p:7] says", "error bad"}, lines)
	assert.Regexp(t, `^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[error\] bad\n$`, out.String())
}
