package fetch_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/datakit/fetch"
)

func TestRetries(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name     string
		method   string
		retries  fetch.Retries
		statuses []int // then 200; 0 cuts the connection
		tries    int
		fails    string
	}{
		{"none by default", "GET", fetch.Retries{}, []int{503}, 1, "non-2XX response code: 503"},
		{"until it goes", "GET", fetch.Retries{Count: 3}, []int{503, 429, 0}, 4, ""},
		{"count", "GET", fetch.Retries{Count: 1}, []int{503, 502}, 2, "non-2XX response code: 502"},
		{"not every status", "GET", fetch.Retries{Count: 3}, []int{500}, 1, "non-2XX response code: 500"},
		{"own statuses", "PUT", fetch.Retries{Count: 3, On: fetch.Statuses{{500, 500}}}, []int{500, 503}, 2, "non-2XX response code: 503"},
		{"a method that may do something twice", "POST", fetch.Retries{Count: 3}, []int{503}, 1, "non-2XX response code: 503"},
		{"the same, wanted", "POST", fetch.Retries{Count: 3, AnyMethod: true}, []int{503, 0}, 3, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			var tries atomic.Int64
			_, u := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				n := int(tries.Add(1))
				if n > len(x.statuses) {
					return
				}
				if x.statuses[n-1] == 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(x.statuses[n-1])
			})
			x.retries.Backoff = time.Millisecond
			_, err := newClient(t).Do(t.Context(), &fetch.Request{Method: x.method, URL: u, Body: []byte("x"), Retries: x.retries})
			if x.fails == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, x.fails)
			}
			assert.EqualValues(t, x.tries, tries.Load())
		})
	}
}

// The waits, in virtual time: doubled, with chance in them, and what the server asks for.
func TestRetriesWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked string
		var at []time.Time
		server := func(conn net.Conn) {
			at = append(at, time.Now())
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = conn.Write([]byte("HTTP/1.1 503 x\r\nContent-Length: 0\r\nConnection: close\r\n" + asked + "\r\n"))
			_ = conn.Close()
		}
		c := fetch.NewForTest(func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go server(there)
			return here, nil
		})
		r := get(parse(t, "http://x/"))
		r.Retries = fetch.Retries{Count: 4, Backoff: 100 * time.Millisecond, MaxBackoff: 300 * time.Millisecond}
		_, err := c.Do(t.Context(), r)
		require.EqualError(t, err, "non-2XX response code: 503")
		require.Len(t, at, 5)
		for i, most := range []time.Duration{100, 200, 300, 300} {
			wait := at[i+1].Sub(at[i])
			assert.GreaterOrEqual(t, wait, most*time.Millisecond/2)
			assert.LessOrEqual(t, wait, most*time.Millisecond+time.Nanosecond)
		}

		for _, header := range []func() string{
			func() string { return "7" },
			func() string { return time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat) },
		} {
			at, asked, r.Retries.Count = nil, "Retry-After: "+header()+"\r\n", 1
			_, err = c.Do(t.Context(), r)
			require.Error(t, err)
			require.Len(t, at, 2)
			assert.InDelta(t, 7, at[1].Sub(at[0]).Seconds(), 1.1, asked)
		}

		at, asked = nil, "Retry-After: 7\r\n"
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		_, err = c.Do(ctx, r)
		require.EqualError(t, err, "non-2XX response code: 503")
		assert.Len(t, at, 1)
		assert.Zero(t, time.Since(began), "a wait that the context does not allow is not begun")

		ctx, stop := context.WithCancelCause(t.Context())
		reason := errors.New("enough")
		time.AfterFunc(3*time.Second, func() { stop(reason) })
		_, err = c.Do(ctx, r)
		assert.Equal(t, reason, err)
	})
}
