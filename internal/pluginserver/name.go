package pluginserver

import (
	"fmt"
	"path/filepath"
	"strings"
)

// luaFolders are where Kong's images and Kong's Helm chart have plugins in Lua.
var luaFolders = []string{"/usr/local/share/lua/5.1", "/opt"} // read-only

// platforms are what names of downloaded files end in.
var platforms = []string{"linux", "darwin", "amd64", "arm64", "x86_64", "aarch64"} // read-only

// nameNotes says what about the name will keep Kong from loading this plugin, though nothing else is wrong: Kong takes a
// plugin in Lua of the same name first, without a word, and knows this one by the name of its file. own is the plugin's
// name in this source.
func nameNotes(name, own string, folders []string) (notes []string) {
	for _, folder := range folders {
		// A schema alone is right there: the handler still comes from here. Enterprise has handlers as bytecode.
		found, err := filepath.Glob(filepath.Join(escapeGlob(folder), "kong", "plugins", name, "handler.*"))
		if err == nil && len(found) > 0 {
			notes = append(notes, fmt.Sprintf("Kong has a plugin in Lua of this name, %s, and loads that one in the place of this program; copy this file to another name, like %s-go, and configure that, or remove the plugin in Lua",
				found[0], name))
		}
	}
	for _, p := range platforms {
		if name != own && strings.HasSuffix(name, p) {
			notes = append(notes, fmt.Sprintf("the plugin is called %s, because its file is; Kong wants that name in plugins and in pluginserver_names; rename the file to %s", name, own))
			break
		}
	}
	return notes
}
