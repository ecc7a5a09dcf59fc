package moesif

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A collector, or a proxy before it, that loses count and answers once more, with a part of what it was sent: net/http
// would log that. What a request held is in no log.
func TestAStrayAnswerIsNotLogged(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	answerAgain, hungUp := make(chan struct{}), make(chan struct{}, 1)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				body, _ := io.ReadAll(r.Body)
				document := map[string]string{"/v1/config": "{}", "/v1/rules": "[]"}[r.URL.Path]
				fmt.Fprintf(c, "HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s", len(document), document)
				if r.Method == http.MethodPost {
					select {
					case <-answerAgain:
					case <-t.Context().Done():
						return
					}
					fmt.Fprintf(c, "HTTP/1.1 400 Bad Request\r\n\r\n%s", body)
					_, _ = io.Copy(io.Discard, c) // until the plugin has read it and hung up
					hungUp <- struct{}{}
				}
			}()
		}
	}()
	g := startGateway(t, builtPlugin, nil, "api_endpoint: http://"+listener.Addr().String(), "debug: true")
	g.send("POST", "/one", `{"card":"4111-secret"}`, "Content-Type", "application/json")
	g.WaitLog("result=sent")
	answerAgain <- struct{}{}
	<-hungUp
	require.NoError(t, g.Close())
	assert.NotContains(t, g.Log(), "secret")
}
