package kongdev

import (
	"os"
	"strconv"
	"strings"
	"time"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/header"
	"kong-go-plugins/internal/kongdev/lua"
	"kong-go-plugins/internal/kongdev/router"
	"kong-go-plugins/internal/kongdev/uri"
)

// variable is an nginx variable, nil when nginx has none of that name or it
// has no value.
func (q *request) variable(name string) lua.Value {
	name = strings.ToLower(name)
	prefix, rest, _ := strings.Cut(name, "_")
	switch prefix {
	case "http":
		if v, ok := headerVar(q.headers, rest); ok {
			return v
		}
		return nil
	case "arg":
		return argVar(q.args, rest)
	case "cookie":
		return cookieVar(q.headers, rest)
	case "ssl":
		return q.tlsVar(rest)
	case "sent":
		if header, ok := strings.CutPrefix(rest, "http_"); ok {
			return responseVar(q.response, header)
		}
	case "upstream":
		if header, ok := strings.CutPrefix(rest, "http_"); ok {
			return responseVar(q.upstreamHeaders, header)
		}
		return q.upstreamVar(rest)
	}
	text := func(s string) lua.Value {
		if s == "" {
			return nil
		}
		return s
	}
	if v, known := q.connectionVar(name); known {
		return v
	}
	switch name {
	case "remote_addr", "realip_remote_addr":
		return q.clientIP
	case "remote_port", "realip_remote_port":
		return strconv.Itoa(q.clientTCP)
	case "request_uri":
		return q.uri
	case "uri", "document_uri":
		return uri.UnescapePath(uri.NormalizePath(router.RequestPath(q.in)))
	case "args", "query_string":
		return text(q.args)
	case "is_args":
		if q.args != "" {
			return "?"
		}
		return ""
	case "request_method":
		return q.method
	case "request":
		return q.in.Method + " " + q.uri + " " + q.in.Proto
	case "request_id":
		// nginx's own, another number than Kong's; the same for the whole request.
		return uuidHex("request_id " + q.id)
	case "kong_request_id":
		return q.id
	case "scheme":
		return q.scheme()
	case "https":
		if q.isSecure() {
			return "on"
		}
		return ""
	case "host":
		return q.host
	case "hostname":
		name, _ := os.Hostname()
		return name
	case "server_name":
		return "kong"
	case "server_port":
		return strconv.Itoa(q.port)
	case "server_protocol":
		return q.in.Proto
	case "nginx_version":
		return "1.25.3"
	case "pid":
		return strconv.Itoa(os.Getpid())
	case "pipe":
		return "."
	case "request_length":
		return strconv.FormatInt(int64(q.length)+q.body.received, 10)
	case "request_time":
		return seconds(nowMS() - q.start)
	case "msec":
		return seconds(nowMS())
	case "time_local":
		return time.Now().Format("02/Jan/2006:15:04:05 -0700")
	case "time_iso8601":
		return time.Now().Format(time.RFC3339)
	case "content_type":
		v, _ := q.headers.Get("content-type")
		return text(v)
	case "content_length":
		v, _ := q.headers.Get("content-length")
		return text(v)
	case "request_body":
		return text(string(q.body.data))
	case "request_body_file":
		return text(q.body.file)
	case "status":
		if q.phase == phaseResponse {
			return strconv.Itoa(q.status)
		}
		return "000"
	case "bytes_sent":
		return strconv.Itoa(q.out.sent)
	case "body_bytes_sent":
		return strconv.Itoa(q.sentBytes)
	case "document_root", "realpath_root":
		return "/usr/local/kong/html"
	case "request_filename":
		return "/usr/local/kong/html" + uri.UnescapePath(uri.NormalizePath(router.RequestPath(q.in)))
	case "request_completion":
		return ""
	case "limit_rate":
		return "0"
	case "proxy_host":
		return "kong_upstream"
	case "proxy_port":
		return "80"
	case "proxy_add_x_forwarded_for":
		if v, ok := headerVar(q.headers, "x_forwarded_for"); ok {
			return v + ", " + q.clientIP
		}
		return q.clientIP
	case "kong_proxy_mode":
		return "http"
	}
	return nil
}

// upstreamVar are the variables of Kong's nginx configuration and of nginx's proxy.
func (q *request) upstreamVar(name string) lua.Value {
	switch name {
	case "scheme":
		return q.upstreamScheme
	case "uri":
		return q.upstreamPath
	case "host":
		return q.upstreamHost
	case "x_forwarded_for":
		return q.clientIP
	case "x_forwarded_proto":
		return q.scheme()
	case "x_forwarded_host":
		return q.host
	case "x_forwarded_port":
		return strconv.Itoa(q.port)
	case "x_forwarded_path":
		return router.RequestPath(q.in)
	case "x_forwarded_prefix":
		return q.match.Prefix
	case "connection":
		if q.websocket() != "" {
			return "keep-alive, Upgrade"
		}
		return "keep-alive"
	case "upgrade":
		return q.websocket()
	case "te", "via":
		return ""
	}
	return nil
}

func seconds(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }

func responseVar(l header.List, name string) lua.Value {
	if v, ok := headerVar(l, name); ok {
		return v
	}
	return nil
}

// argVar is the first argument of that name, not decoded; names ignore case.
func argVar(query, name string) lua.Value {
	for part := range strings.SplitSeq(query, "&") {
		if key, v, ok := strings.Cut(part, "="); ok && strings.EqualFold(key, name) {
			return v
		}
	}
	return nil
}

func cookieVar(l header.List, name string) lua.Value {
	for _, line := range l.Values("cookie") {
		for part := range strings.SplitSeq(line, ";") {
			if key, v, ok := strings.Cut(strings.TrimSpace(part), "="); ok && strings.EqualFold(key, name) {
				return v
			}
		}
	}
	return nil
}

func uuidHex(name string) string {
	return strings.ReplaceAll(declarative.UUIDv5(declarative.EntityNamespace, name), "-", "")
}
