package moesif

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A receivedBatch is one upload as an HTTP server saw it.
type receivedBatch struct {
	method, path string
	header       http.Header
	length       int64
	events       []json.RawMessage
}

// serveBatches is a collector of its own, so that nothing of the plugin's is tested by itself. documents are what it
// answers to GET, by path.
func serveBatches(t *testing.T, status func(receivedBatch) int, documents map[string]string) (url string, got func() []receivedBatch) {
	t.Helper()
	var mu sync.Mutex
	var list []receivedBatch
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			document, known := documents[r.URL.Path]
			if !known {
				w.WriteHeader(http.StatusNotFound)
			}
			_, _ = io.WriteString(w, document)
			return
		}
		raw, err := io.ReadAll(r.Body)
		if err != nil { // a plugin that ends has hung up
			return
		}
		var body io.Reader = bytes.NewReader(raw)
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(body)
			if !assert.NoError(t, err) {
				return
			}
			body = z
		}
		b := receivedBatch{method: r.Method, path: r.URL.Path, header: r.Header, length: r.ContentLength}
		if !assert.NoError(t, json.NewDecoder(body).Decode(&b.events)) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		list = append(list, b)
		mu.Unlock()
		w.WriteHeader(status(b))
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []receivedBatch {
		mu.Lock()
		defer mu.Unlock()
		return append([]receivedBatch(nil), list...)
	}
}

func created(receivedBatch) int { return http.StatusCreated }
