package declarative

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestUUIDV5(t *testing.T) {
	assert.Equal(t, "da7ba03a-f1be-52d4-8a7e-c8f32640689a", EntityID("routes", "r"), "as recorded from a real gateway")
	assert.Equal(t, "dea4c45f-3d88-5461-8ebd-05ae5bbbf87a", EntityID("services", "up"), "as recorded from a real gateway")
	assert.Equal(t, "57c54a02-281e-5f35-80a3-b3f03419fd4f", EntityID("routes", "regex"), "as recorded from a real gateway")
	assert.True(t, IsUUID("da7ba03a-f1be-52d4-8a7e-c8f32640689a"))
	for _, bad := range []string{"", "da7ba03af1be52d48a7ec8f32640689a", "da7ba03a-f1be-52d4-8a7e-c8f32640689g", "da7ba03a-f1be-52d4-8a7e-c8f32640689a0"} {
		assert.False(t, IsUUID(bad), bad)
	}
}
