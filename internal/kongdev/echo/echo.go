// Package echo is the gateway's built-in upstream.
package echo

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bounds of the built-in upstream.
const (
	maxDelay  = time.Minute
	maxBytes  = 1 << 30
	maxEvents = 10_000
)

// Help lists what the built-in upstream serves, one path a line.
const Help = `/delay/MS        echoes after MS milliseconds
/status/N        answers with status N
/stream[/N[/MS]] N server-sent events (5), MS milliseconds apart (200)
/gzip            echoes, compressed
/bytes/N         N bytes
/text            plain text
/ok              {"ok":true} with a Content-Length
/missing         404
/cut             half a response, then the connection is cut
anything else    echoes method, uri, headers and the body's length as JSON`

// New returns the built-in upstream, which services reach as
// http://echo.kongdev; see Help. What it echoes has the form of the
// upstream in the recordings of real gateways.
func New() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{rest...}", func(w http.ResponseWriter, r *http.Request) { echo(w, r, w) })
	mux.HandleFunc("/missing", func(w http.ResponseWriter, r *http.Request) {
		drain(r)
		answerJSON(w, http.StatusNotFound, `{"err":"nope"}`)
	})
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		drain(r)
		w.Header().Set("X-Up", "yes")
		answerJSON(w, http.StatusOK, `{"ok":true}`)
	})
	mux.HandleFunc("/text", func(w http.ResponseWriter, r *http.Request) {
		drain(r)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "just text\n")
	})
	mux.HandleFunc("/status/{n}", echoStatus)
	mux.HandleFunc("/delay/{ms}", func(w http.ResponseWriter, r *http.Request) {
		ms, err := strconv.Atoi(r.PathValue("ms"))
		if err != nil || ms < 0 || !pause(r, min(time.Duration(ms)*time.Millisecond, maxDelay)) {
			answerJSON(w, http.StatusBadRequest, `{"err":"use /delay/MILLISECONDS"}`)
			return
		}
		echo(w, r, w)
	})
	mux.HandleFunc("/gzip", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		echo(w, r, z)
	})
	mux.HandleFunc("/bytes/{n}", echoBytes)
	for _, path := range []string{"/stream", "/stream/{n}", "/stream/{n}/{ms}"} {
		mux.HandleFunc(path, echoStream)
	}
	mux.HandleFunc("/cut", func(w http.ResponseWriter, r *http.Request) {
		drain(r)
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "//") || strings.Contains(r.URL.Path, "/.") {
			echo(w, r, w) // the mux would redirect; an upstream shows what it was sent
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// echo writes what the request was, in chunks as the recorded upstream does.
func echo(w http.ResponseWriter, r *http.Request, to io.Writer) {
	headers := map[string]any{"host": r.Host}
	for name, values := range r.Header {
		if len(values) == 1 {
			headers[strings.ToLower(name)] = values[0]
		} else {
			headers[strings.ToLower(name)] = values
		}
	}
	size := drain(r)
	uri := r.RequestURI
	if uri == "" {
		uri = r.URL.RequestURI()
	}
	w.Header().Set("Content-Type", "application/json")
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	e := json.NewEncoder(to)
	e.SetEscapeHTML(false)
	_ = e.Encode(struct {
		Method  string         `json:"method"`
		URI     string         `json:"uri"`
		Headers map[string]any `json:"headers"`
		BodyLen int64          `json:"body_len"`
	}{r.Method, uri, headers, size})
}

func echoStatus(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 200 || n > 599 {
		answerJSON(w, http.StatusBadRequest, `{"err":"use /status/N with N from 200 to 599"}`)
		return
	}
	drain(r)
	if n == http.StatusNoContent || n == http.StatusNotModified {
		w.WriteHeader(n)
		return
	}
	answerJSON(w, n, fmt.Sprintf(`{"status":%d}`, n))
}

func echoBytes(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
	if err != nil || n < 0 || n > maxBytes {
		answerJSON(w, http.StatusBadRequest, fmt.Sprintf(`{"err":"use /bytes/N with N from 0 to %d"}`, maxBytes))
		return
	}
	drain(r)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	line := []byte(strings.Repeat("0123456789abcdef", 2048))
	for n > 0 {
		k := min(n, int64(len(line)))
		if _, err := w.Write(line[:k]); err != nil {
			return
		}
		n -= k
	}
}

func echoStream(w http.ResponseWriter, r *http.Request) {
	n, gap := 5, 200
	var err error
	if s := r.PathValue("n"); s != "" {
		n, err = strconv.Atoi(s)
	}
	if s := r.PathValue("ms"); s != "" && err == nil {
		gap, err = strconv.Atoi(s)
	}
	if err != nil || n < 0 || n > maxEvents || gap < 0 {
		answerJSON(w, http.StatusBadRequest, fmt.Sprintf(`{"err":"use /stream/N/MS with N up to %d"}`, maxEvents))
		return
	}
	drain(r)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	flush := http.NewResponseController(w)
	for i := range n {
		if i > 0 && !pause(r, min(time.Duration(gap)*time.Millisecond, maxDelay)) {
			return
		}
		if _, err := fmt.Fprintf(w, "data: {\"n\":%d}\n\n", i); err != nil {
			return
		}
		_ = flush.Flush()
	}
}

func answerJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// drain reads the request's body and returns its length.
func drain(r *http.Request) int64 {
	if r.Body == nil {
		return 0
	}
	n, _ := io.Copy(io.Discard, r.Body)
	return n
}

// pause waits for d and reports whether the client is still there.
func pause(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
