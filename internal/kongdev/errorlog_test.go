package kongdev

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestErrorLogHook(t *testing.T) {
	var out syncBuffer
	log, err := newErrorLog(&out, "warn")
	require.NoError(t, err)
	var lines []string
	log.hook = func(l LogLine) { lines = append(lines, l.Level+" "+l.Text) }
	log.printf(levelDebug, "noise")
	log.printf(levelInfo, "[p:%d] says", 7)
	log.printf(levelErr, "bad")
	assert.Equal(t, []string{"info [p:7] says", "error bad"}, lines)
	assert.Regexp(t, `^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[error\] bad\n$`, out.String())
}
