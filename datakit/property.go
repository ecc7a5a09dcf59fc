package datakit

import "strings"

// A property is a value of the gateway that nodes of type property read or write.
type property struct {
	typ       typ
	get, set  bool
	late      bool // only in the response phase
	early     bool // written in the access phase only
	missing   bool // open-source Kong has none: reads as null
	anySuffix bool // the name ends with a key of the user's
}

// properties are all properties by name; read-only. Those with anySuffix stand with the dot before the key.
var properties = map[string]property{
	"kong.client.consumer":              {typ: mapType, get: true, set: true, early: true},
	"kong.client.consumer_groups":       {typ: anyType, get: true, missing: true},
	"kong.client.credential":            {typ: mapType, get: true},
	"kong.client.identity_realm_source": {typ: mapType, get: true, missing: true},
	"kong.client.forwarded_ip":          {typ: stringType, get: true},
	"kong.client.ip":                    {typ: stringType, get: true},
	"kong.client.forwarded_port":        {typ: numberType, get: true},
	"kong.client.port":                  {typ: numberType, get: true},
	"kong.client.protocol":              {typ: stringType, get: true},
	"kong.request.forwarded_host":       {typ: stringType, get: true},
	"kong.request.forwarded_scheme":     {typ: stringType, get: true},
	"kong.request.forwarded_port":       {typ: numberType, get: true},
	"kong.request.port":                 {typ: numberType, get: true},
	"kong.response.source":              {typ: stringType, get: true, late: true},
	"kong.router.route":                 {typ: mapType, get: true},
	"kong.router.service":               {typ: mapType, get: true},
	"kong.route_id":                     {typ: stringType, get: true},
	"kong.route_name":                   {typ: stringType, get: true},
	"kong.service_id":                   {typ: stringType, get: true},
	"kong.service_name":                 {typ: stringType, get: true},
	"kong.service.response.status":      {typ: numberType, get: true, late: true},
	"kong.version":                      {typ: stringType, get: true},
	"kong.nginx.subsystem":              {typ: stringType, get: true},
	"kong.node.id":                      {typ: stringType, get: true},
	"kong.node.memory_stats":            {typ: mapType, get: true},
	"kong.configuration.":               {typ: anyType, get: true, anySuffix: true},
	"kong.service.target":               {typ: stringType, set: true, early: true},
	"kong.service.upstream":             {typ: stringType, set: true, early: true},
	"kong.service.request.scheme":       {typ: stringType, set: true, early: true},
	statusProperty:                      {typ: numberType, set: true},
	ctxPlugin:                           {typ: anyType, get: true, set: true, anySuffix: true},
	ctxShared:                           {typ: anyType, get: true, set: true, anySuffix: true},
}

const (
	statusProperty = "kong.response.status"
	ctxPlugin      = "kong.ctx.plugin."
	ctxShared      = "kong.ctx.shared."
)

// propertyNamed finds a property by its whole name.
func propertyNamed(name string) (property, bool) {
	if p, ok := properties[name]; ok && !p.anySuffix {
		return p, true
	}
	for prefix, p := range properties {
		if p.anySuffix && strings.HasPrefix(name, prefix) && len(name) > len(prefix) {
			return p, true
		}
	}
	return property{}, false
}
