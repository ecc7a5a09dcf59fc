package kongconf

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestUnknown(t *testing.T) {
	t.Parallel()
	servers := []string{"moesif", "datakit-go"}
	for _, good := range []string{"database", "prefix", "plugins", "pluginserver_names", "declarative_config", "log_level", "konnect_mode",
		"pluginserver_moesif_start_cmd", "pluginserver_datakit_go_query_cmd", "nginx_main_env", "lua_package_path"} {
		assert.Empty(t, Unknown(good, servers))
	}
	assert.Equal(t, "databse: Kong has no such setting", Unknown("databse", servers))
	for _, bad := range []string{"pluginserver_moesif_start", "pluginserver_mosif_start_cmd", "pluginserver_moesif_sock", "pluginserver_datakit-go_query_cmd"} {
		assert.Contains(t, Unknown(bad, servers), "with NAME from pluginserver_names (moesif,datakit-go)")
	}
}
