package transcript_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/transcript"
)

func TestEveryRecordingLoads(t *testing.T) {
	names := transcript.Names()
	require.Len(t, names, 28)
	for _, name := range names {
		frames, err := transcript.Load(name)
		require.NoError(t, err)
		require.NotEmpty(t, frames)
		for _, f := range frames {
			if f.Kind == transcript.Connect || f.Kind == transcript.Close {
				continue
			}
			require.Equalf(t, len(f.Payload()), int(binary.LittleEndian.Uint32(f.Wire)), "%s conn %d frame %d", name, f.Conn, f.N)
		}
	}
	require.Contains(t, transcript.Requests(), "### 01_get_first_start_instance")
	require.Contains(t, transcript.KeyAuth(), "### -H apikey: sekret 127.0.0.1:8200/echo/plain")
}
