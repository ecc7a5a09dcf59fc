package kongdev

import (
	"strconv"
	"strings"
)

const grpcType = "application/grpc"

// grpcStatuses are Kong's gRPC statuses for HTTP's.
var grpcStatuses = map[int]int{ // read-only
	200: 0, 400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 499: 1, 500: 13, 501: 12, 503: 14, 504: 4,
}

var grpcMessages = []string{ // read-only; by gRPC status
	"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
	"ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss",
	"Unauthenticated",
}

func grpcStatus(status int) int {
	if s, ok := grpcStatuses[status]; ok {
		return s
	}
	switch status / 100 {
	case 5:
		return grpcStatuses[500]
	case 4:
		return grpcStatuses[400]
	case 2:
		return grpcStatuses[200]
	}
	return 2
}

// isGRPC reports whether the client speaks gRPC.
func (q *request) isGRPC() bool {
	contentType, _ := q.headers.Get("content-type")
	return strings.HasPrefix(contentType, grpcType) && q.in.ProtoMajor == 2
}

// answerGRPC makes Kong's own answer one that gRPC clients understand: status
// and message go into headers. It returns the body that is left.
func (q *request) answerGRPC(body []byte) []byte {
	contentType, typed := q.response.Get("content-type")
	output := strings.HasPrefix(contentType, grpcType)
	if !output && (typed || !q.isGRPC()) {
		return body
	}
	status := -1
	if _, given := q.response.Get("grpc-status"); !given {
		status = grpcStatus(q.status)
		q.setHeader("grpc-status", strconv.Itoa(status))
	}
	if !output {
		q.setHeader("Content-Length", "0")
		if len(body) > 0 {
			q.setHeader("grpc-message", string(body))
		} else {
			q.setHeader("grpc-message")
		}
		return nil
	}
	if _, given := q.response.Get("grpc-message"); !given && status >= 0 {
		q.setHeader("grpc-message", grpcMessages[status])
	}
	return body
}
