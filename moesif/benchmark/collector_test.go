package benchmark

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// startCollector starts a collector and returns its address. The real one is on another machine and costs this one nothing:
// so it is no whole server, reads with few calls, and what it answers is ready.
func startCollector(tb testing.TB) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	var all sync.WaitGroup
	tb.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { collect(conn) })
		}
	})
	return "http://" + listener.Addr().String()
}

// collect serves one connection until its client closes it.
func collect(conn net.Conn) {
	defer conn.Close()
	answers := map[string]string{"/v1/config": answer(http.StatusOK, "{}"), "/v1/rules": answer(http.StatusOK, "[]"), "/v1/events/batch": answer(http.StatusCreated, "")}
	in := bufio.NewReaderSize(conn, 64<<10)
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return
		}
		if _, err := io.WriteString(conn, answers[request.URL.Path]); err != nil {
			return
		}
	}
}

func answer(status int, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}
