package kv_test

import (
	"os"
	"testing"

	"kong-go-plugins/datakit/kv"
)

// TestMain opens one Redis before there is any other client of the library: the first one replaces the library's log, which
// is a plain variable that clients read, those of the tests' own servers included.
func TestMain(m *testing.M) {
	_ = kv.OpenRedis(kv.RedisOptions{Addresses: []string{"127.0.0.1:1"}}).Close()
	os.Exit(m.Run())
}
