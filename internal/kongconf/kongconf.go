// Package kongconf knows the names of Kong's settings, so that tests find a misspelt one in the files for Docker and
// Kubernetes, which Kong itself would ignore without a word.
package kongconf

import (
	_ "embed"
	"fmt"
	"strings"
)

// names are those of kong.conf.default of Kong Gateway 3.9.1, one per line; the families of Unknown are not among them.
//
//go:embed names.txt
var names string

// enterprise are settings that the open-source gateway does not have: those that a data plane of Konnect is started with,
// and the license.
const enterprise = "cluster_telemetry_endpoint cluster_telemetry_server_name konnect_mode license_data vitals"

// Unknown says what is wrong with a setting's name as kong.conf has it, for a Kong with these plugin servers; empty if
// nothing is.
func Unknown(name string, servers []string) string {
	if rest, ok := strings.CutPrefix(name, "pluginserver_"); ok && rest != "names" {
		for _, s := range servers {
			switch rest {
			case strings.ReplaceAll(s, "-", "_") + "_start_cmd", strings.ReplaceAll(s, "-", "_") + "_query_cmd", strings.ReplaceAll(s, "-", "_") + "_socket":
				return ""
			}
		}
		return fmt.Sprintf("%s: expected pluginserver_<NAME>_start_cmd, _query_cmd or _socket, with NAME from pluginserver_names (%s)", name, strings.Join(servers, ","))
	}
	if strings.HasPrefix(name, "nginx_main_") || strings.HasPrefix(name, "nginx_http_") || strings.HasPrefix(name, "nginx_proxy_") {
		return "" // any directive of nginx
	}
	for _, known := range append(strings.Fields(names), strings.Fields(enterprise)...) {
		if name == known {
			return ""
		}
	}
	return name + ": Kong has no such setting"
}
