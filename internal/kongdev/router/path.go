package router

import "strings"

// joinUpstream is Kong's path_handling "v0": the service's path, then what the
// route left of the request's path. postfix is the path behind the matched
// prefix and counts only when strip is set.
func joinUpstream(base, path, postfix string, strip bool) string {
	if !strip {
		if strings.HasSuffix(base, "/") {
			return base + strings.TrimPrefix(path, "/")
		}
		if path == "/" {
			return base
		}
		return base + path
	}
	switch {
	case postfix == "." || postfix == "..":
		postfix = ""
	case strings.HasPrefix(postfix, "./"):
		postfix = postfix[2:]
	case strings.HasPrefix(postfix, "../"):
		postfix = postfix[3:]
	}
	if strings.HasSuffix(base, "/") {
		switch {
		case postfix == "" && (base == "/" || strings.HasSuffix(path, "/")):
			return base
		case postfix == "":
			return base[:len(base)-1]
		}
		return base + strings.TrimPrefix(postfix, "/")
	}
	switch {
	case postfix == "" && len(path) > 1 && strings.HasSuffix(path, "/"):
		return base + "/"
	case postfix == "":
		return base
	case postfix[0] == '/':
		return base + postfix
	}
	return base + "/" + postfix
}
