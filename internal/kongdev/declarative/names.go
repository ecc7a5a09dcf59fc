package declarative

import (
	"regexp"
	"slices"
	"strings"
)

// luaPlugins are the plugins inside Kong Gateway 3.9. They are written in Lua
// and cannot run here.
var luaPlugins = []string{ // read-only
	"acl", "acme", "ai-prompt-decorator", "ai-prompt-guard", "ai-prompt-template", "ai-proxy", "ai-request-transformer",
	"ai-response-transformer", "aws-lambda", "azure-functions", "basic-auth", "bot-detection", "correlation-id", "cors", "datadog",
	"file-log", "grpc-gateway", "grpc-web", "hmac-auth", "http-log", "ip-restriction", "jwt", "key-auth", "ldap-auth", "loggly",
	"oauth2", "opentelemetry", "post-function", "pre-function", "prometheus", "proxy-cache", "rate-limiting", "redirect",
	"request-size-limiting", "request-termination", "request-transformer", "response-ratelimiting", "response-transformer",
	"session", "standard-webhooks", "statsd", "syslog", "tcp-log", "udp-log", "zipkin",
}

// IsLuaPlugin reports whether a plugin is part of Kong Gateway 3.9.
func IsLuaPlugin(name string) bool { return slices.Contains(luaPlugins, name) }

// binaryName is what a plugin may be called: Kong's rule for names, less
// anything that a path or a shell could take for something else.
var binaryName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// IsPluginName reports whether a plugin, and so its binary, can have the name.
func IsPluginName(name string) bool { return binaryName.MatchString(name) }

// insidePrefix begins the names of plugins inside the gateway.
const insidePrefix = "kongdev-"

// notOurs is a hint for a name that begins as one of a plugin inside the gateway and is none.
func notOurs(name string, inside []string) string {
	if !strings.HasPrefix(name, insidePrefix) {
		return ""
	}
	return "; kongdev's own are " + strings.Join(inside, ", ")
}
