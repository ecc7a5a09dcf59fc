package send

import (
	"bytes"
	stdgzip "compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wide returns events of about n bytes each.
func wide(count, n int) (events [][]byte) {
	for i := range count {
		events = append(events, fmt.Appendf(nil, `{"i":%d,"s":"%s"}`, i, strings.Repeat("ab", n/2)))
	}
	return events
}

func TestBodies(t *testing.T) {
	for _, events := range [][][]byte{testEvents(1), testEvents(2), testEvents(500), wide(1, 300000), wide(3, gzipChunk), {[]byte("{}"), []byte("[1]")}} {
		want := "[" + string(bytes.Join(events, []byte(","))) + "]"
		require.NoError(t, iotest.TestReader(&array{events: events}, []byte(want)))
		assert.EqualValues(t, len(want), (&array{events: events}).size())

		for _, read := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			p := newPacked(events)
			z, err := stdgzip.NewReader(read(p))
			require.NoError(t, err)
			got, err := io.ReadAll(z)
			require.NoError(t, err)
			assert.Equal(t, want, string(got))
			require.NoError(t, p.Close())
			require.NoError(t, p.Close())
		}
		n, err := io.Copy(io.Discard, newPacked(events))
		require.NoError(t, err)
		assert.Equal(t, packedSize(events), n, "the same bytes each time")
	}
}

// A body that is closed while it is read ends, and its writer is nobody else's meanwhile.
func TestABodyIsClosedWhileItIsRead(t *testing.T) {
	events := wide(100, 20000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				p := newPacked(events)
				var reader sync.WaitGroup
				reader.Go(func() { _, _ = io.Copy(io.Discard, p) })
				_ = p.Close()
				reader.Wait()
				n, err := p.Read(make([]byte, 10))
				assert.Zero(t, n)
				assert.Equal(t, io.EOF, err)
				z, err := stdgzip.NewReader(newPacked(events[:3]))
				if assert.NoError(t, err) {
					got, err := io.ReadAll(z)
					assert.NoError(t, err)
					assert.True(t, json.Valid(got))
				}
			}
		})
	}
	wg.Wait()
}

// realistic returns events like those of an API with JSON both ways, 2 KB each.
func realistic(count int) (events [][]byte, bytes int) {
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string { return fmt.Sprintf("%x", r.Uint64()) }
	body := func() string {
		var items []string
		for range 12 {
			items = append(items, fmt.Sprintf(`{"sku":"%s","title":"A thing of %s","qty":%d,"price":%d.%02d,"tags":["new","%s"]}`,
				word()[:6], word(), r.IntN(20), r.IntN(900), r.IntN(100), word()[:4]))
		}
		return `{"order":"` + word() + `","items":[` + strings.Join(items, ",") + `]}`
	}
	for range count {
		e := fmt.Appendf(nil, `{"request":{"time":"2026-03-01T10:20:30.045Z","uri":"https://api.example.org:8443/v2/orders/%s?limit=%d","verb":"POST",`+
			`"headers":{"host":"api.example.org","content-type":"application/json","user-agent":"client/1.%d","x-moesif-transaction-id":"%s%s"},`+
			`"api_version":"1.0","ip_address":"203.0.113.%d","body":%s,"transfer_encoding":"json"},"response":{"time":"2026-03-01T10:20:30.172Z","status":201,`+
			`"headers":{"content-type":"application/json","server":"kong"},"body":%s,"transfer_encoding":"json"},"user_id":"u-%d","direction":"Incoming","weight":1}`,
			word(), r.IntN(100), r.IntN(9), word(), word(), r.IntN(255), body(), body(), r.IntN(10000))
		events = append(events, e)
		bytes += len(e) + 1
	}
	return events, bytes + 1
}

// The price of a level, and what it brings.
func BenchmarkGzipLevel(b *testing.B) {
	events, size := realistic(50)
	for level := 1; level <= 6; level++ {
		b.Run(fmt.Sprint(level), func(b *testing.B) {
			w, err := gzip.NewWriterLevel(nil, level)
			require.NoError(b, err)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			var out bytes.Buffer
			for b.Loop() {
				out.Reset()
				w.Reset(&out)
				_, err := io.Copy(w, &array{events: events})
				require.NoError(b, err)
				require.NoError(b, w.Close())
			}
			b.ReportMetric(float64(size)/float64(out.Len()), "ratio")
		})
	}
}

// MB of JSON a second through gzip and HTTP, both ends of it.
func BenchmarkGzipUpload(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
	}))
	defer server.Close()
	for _, batch := range []int{50, 1000} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			set := quickUpload()
			set.Compress = true
			u := uploaderTo(server.URL, "a", set)
			defer u.close()
			events, size := realistic(batch)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				require.Equal(b, sent, u.upload(b.Context(), events).class)
			}
		})
	}
}
