package datakit

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestIsGRPC(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scheme, contentType string
		want                bool
	}{
		{"http", "", false},
		{"", "application/json", false},
		{"http", "application/grpc", true},
		{"http", "Application/gRPC+proto", true},
		{"https", "application/grpc; charset=utf-8", true},
		{"http", "application/grpc-web+proto", false},
		{"grpc", "application/grpc-web+proto", true},
		{"grpcs", "application/json", true},
	} {
		assert.Equal(t, c.want, isGRPC(c.scheme, c.contentType), "%v", c)
	}
}
