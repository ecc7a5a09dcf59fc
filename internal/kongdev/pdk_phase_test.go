package kongdev

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Every method by phase: those of Kong's own checks, and in log those that work
// with what Kong saved. A method that a line leaves out must be refused there.
func TestMethodsByPhase(t *testing.T) {
	expand := func(lists ...string) []string {
		var names []string
		for _, list := range lists {
			prefix, methods, _ := strings.Cut(list, " ")
			for m := range strings.FieldsSeq(methods) {
				names = append(names, prefix+m)
			}
		}
		return names
	}
	always := expand(
		"kong.ctx.shared. get set", "kong.nginx. get_ctx set_ctx get_subsystem req_start_time get_tls1_version_str",
		"kong.node. get_id get_memory_stats", "kong.ip. is_trusted", "kong.log. alert crit err warn notice info debug",
	)
	connection := expand("kong.client. get_ip get_forwarded_ip get_port get_forwarded_port", "kong.request. get_port", "kong.nginx. get_var")
	request := expand(
		"kong.request. get_scheme get_host get_forwarded_scheme get_forwarded_host get_forwarded_port get_http_version get_method get_path",
		"kong.request. get_path_with_query get_raw_query get_query_arg get_query get_header get_headers get_raw_body get_uri_captures",
		"kong.log. set_serialize_value",
	)
	setters := expand("kong.response. set_status set_header add_header clear_header set_headers exit")
	upstream := expand("kong.service.request. set_scheme set_path set_raw_query set_query set_method set_header add_header clear_header set_headers set_raw_body", "kong.service. set_target")
	matched := expand("kong.client. get_consumer get_credential load_consumer get_protocol", "kong.router. get_route get_service")
	answered := expand("kong.response. get_status get_header get_headers get_source", "kong.service.response. get_status get_header get_headers get_raw_body")
	tests := map[phase][]string{
		phaseCertificate: slices.Concat(always, connection),
		phaseRewrite:     slices.Concat(always, connection, request, setters, upstream),
		phaseAccess:      slices.Concat(always, connection, request, setters, upstream, matched, expand("kong.client. authenticate", "kong.service. set_upstream")),
		phaseResponse:    slices.Concat(always, connection, request, setters, matched, answered),
		phaseLog: slices.Concat(always, matched, answered, expand("kong.log. serialize set_serialize_value",
			"kong.request. get_header get_headers get_uri_captures")),
	}
	for phase, want := range tests {
		var got []string
		for name, m := range pdkMethods {
			if m.phases&phase != 0 && (phase != phaseLog || m.inLog) {
				got = append(got, name)
			}
		}
		assert.Equal(t, slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got)), phase.names())
	}
	assert.Len(t, slices.Collect(maps.Keys(pdkMethods)), len(slices.Compact(slices.Sorted(slices.Values(slices.Concat(
		tests[phaseCertificate], tests[phaseRewrite], tests[phaseAccess], tests[phaseResponse], tests[phaseLog]))))), "every method is in the table")
}
