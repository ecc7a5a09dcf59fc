package pluginserver

import "runtime/debug"

// build says which commit the binary is made of, for people: the Makefile sets it when linking. Kong reads the plugin's
// own version, which stands in the source and is always x.y.z: Kong does not start with any other form.
var build = "unknown" // read-only

// pdkVersion is the version of go-pdk that the binary holds.
func pdkVersion() string {
	info, _ := debug.ReadBuildInfo()
	if info != nil {
		for _, m := range info.Deps {
			if m.Path == "github.com/Kong/go-pdk" {
				return m.Version
			}
		}
	}
	return "unknown"
}
