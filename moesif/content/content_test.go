package content

import (
	"bytes"
	"encoding/base64"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// encode applies a coding; "raw" is deflate without zlib's frame.
func encode(t testing.TB, coding string, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip", "x-gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "raw":
		var err error
		w, err = flate.NewWriter(&b, -1)
		require.NoError(t, err)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		var err error
		w, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
		require.NoError(t, err)
	}
	_, err := w.Write(body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestDecode(t *testing.T) {
	plain := []byte(strings.Repeat(`{"a":1},`, 100))
	for _, c := range []string{"gzip", "x-gzip", "deflate", "br", "zstd"} {
		t.Run(c, func(t *testing.T) {
			packed := encode(t, c, plain)
			for range 3 { // a decoder is used again, also after a body that it could not read
				got, err := Decode(packed, []string{c}, int64(len(plain)))
				require.NoError(t, err)
				assert.Equal(t, plain, got)

				_, err = Decode(packed, []string{c}, int64(len(plain))-1)
				require.ErrorIs(t, err, ErrTooLong)
				for name, broken := range map[string][]byte{"cut": packed[:len(packed)-1], "a tail": append(bytes.Clone(packed), "x"...), "not packed": plain, "nothing": {}} {
					_, err = Decode(broken, []string{c}, 1<<20)
					if name != "nothing" || c != "zstd" { // zero frames are a body of zero bytes
						require.Error(t, err, name)
					}
				}
			}
			empty, err := Decode(encode(t, c, nil), []string{c}, 10)
			require.NoError(t, err)
			assert.Empty(t, empty)
		})
	}
	t.Run("deflate without zlib's frame", func(t *testing.T) {
		got, err := Decode(encode(t, "raw", plain), []string{"deflate"}, 1<<20)
		require.NoError(t, err)
		assert.Equal(t, plain, got)
	})
	t.Run("several, in order", func(t *testing.T) {
		packed := encode(t, "zstd", encode(t, "br", encode(t, "gzip", plain)))
		got, err := Decode(packed, Codings("gzip, br ,identity, zstd"), 1<<20)
		require.NoError(t, err)
		assert.Equal(t, plain, got)
		_, err = Decode(packed, Codings("zstd, br, gzip"), 1<<20)
		require.Error(t, err)
		_, err = Decode(packed, []string{"gzip", "gzip", "gzip", "gzip", "gzip"}, 1<<20)
		require.ErrorIs(t, err, ErrUnknownCoding)
	})
	t.Run("unknown", func(t *testing.T) {
		_, err := Decode(plain, []string{"compress"}, 1<<20)
		require.ErrorIs(t, err, ErrUnknownCoding)
	})
	t.Run("none", func(t *testing.T) {
		got, err := Decode(plain, nil, 1)
		require.NoError(t, err)
		assert.Equal(t, plain, got)
	})
}

func TestCodings(t *testing.T) {
	for header, want := range map[string][]string{
		"": nil, "identity": nil, " GZip ": {"gzip"}, "br": {"br"}, "gzip, br": {"gzip", "br"}, "identity,gzip": {"gzip"}, ",": nil,
	} {
		assert.Equal(t, want, Codings(header), "Codings(%q)", header)
	}
}

// What a few bytes claim is neither unfolded nor held: the memory that one body takes is bound by the limit and a window.
func TestBombs(t *testing.T) {
	zeros := make([]byte, 16<<20)
	for _, c := range []string{"gzip", "deflate", "br", "zstd"} {
		packed := encode(t, c, zeros)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(packed, []string{c}, 1<<20)
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, ErrTooLong, c)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20), c)
	}
	_, err := Decode(encode(t, "zstd", zeros[:8<<20]), []string{"zstd"}, 8<<20)
	require.ErrorIs(t, err, ErrTooLong, "within the limit, out of all proportion")

	// The head of a zstd frame with a window of 1 GB, and of a frame that says it holds 1 GB.
	for _, head := range []string{"KLUv/QCgAQAAYQ==", "KLUv/aAAAABAAQAAYQ=="} {
		b, err := base64.StdEncoding.DecodeString(head)
		require.NoError(t, err)
		_, err = Decode(b, []string{"zstd"}, 1<<20)
		require.Error(t, err)
	}
}

// FuzzDecode: whatever is decoded stays within the limit, and what was packed comes back.
func FuzzDecode(f *testing.F) {
	for _, c := range []string{"gzip", "deflate", "br", "zstd"} {
		f.Add(encode(f, c, []byte(`{"a":[1,2,3]}`)), c)
	}
	f.Add(encode(f, "raw", []byte(`{"a":[1,2,3]}`)), "deflate")
	f.Add([]byte("x"), "gzip,br")
	f.Fuzz(func(t *testing.T, body []byte, header string) {
		const limit = 1 << 16
		codings := Codings(header)
		plain, err := Decode(body, codings, limit)
		if err == nil && len(codings) > 0 {
			require.LessOrEqual(t, len(plain), limit)
		}
		if len(body) > limit {
			return
		}
		for _, c := range []string{"gzip", "deflate", "br", "zstd"} {
			got, err := Decode(encode(t, c, body), []string{c}, limit)
			require.NoError(t, err)
			require.Equal(t, string(body), string(got))
		}
	})
}

func TestMediaType(t *testing.T) {
	for header, want := range map[string]string{
		"": "", "Text/HTML; charset=x": "text/html", " application/json , text/plain": "application/json", "nonsense": "nonsense",
	} {
		assert.Equal(t, want, MediaType(header), "MediaType(%q)", header)
	}
	for header, want := range map[string]bool{
		"application/json": true, "Application/JSON; charset=utf-8": true, "application/problem+json": true, "text/json": true, "json": true,
		"text/plain, application/json": true, "text/plain; a=json": false, "": false, "jso": false,
	} {
		assert.Equal(t, want, IsJSON(header), "IsJSON(%q)", header)
	}
	for media, want := range map[string]bool{"text/xml": true, "application/soap+xml": true, "application/xml": true, "text/html": false, "": false} {
		assert.Equal(t, want, IsXML(media), "IsXML(%q)", media)
	}
}

func TestParse(t *testing.T) {
	media, parameters, err := Parse(`multipart/form-data; boundary="a b"`)
	require.NoError(t, err)
	assert.Equal(t, "multipart/form-data", media)
	assert.Equal(t, "a b", parameters["boundary"])
	media, _, err = Parse("text/xml, text/xml")
	require.NoError(t, err)
	assert.Equal(t, "text/xml", media)
	for _, header := range []string{"text/xml, text/plain", "text/xml,text/plain", "text/xml; a=1; a=2", "/", ""} {
		_, _, err := Parse(header)
		require.Error(t, err, "Parse(%q)", header)
	}
}

func TestTypes(t *testing.T) {
	types, err := NewTypes([]string{"Image/*", "application/octet-stream", " text/event-stream "})
	require.NoError(t, err)
	for contentType, want := range map[string]bool{
		"image/png": true, "IMAGE/svg+xml; a=b": true, "application/octet-stream": true, "application/octet-stream2": false, "text/event-stream;x": true,
		"text/plain": false, "": false, "imagex/png": false,
	} {
		assert.Equal(t, want, types.Has(contentType), "Has(%q)", contentType)
	}
	all, err := NewTypes([]string{"*/*"})
	require.NoError(t, err)
	assert.True(t, all.Has("a/b"))
	none, err := NewTypes(nil)
	require.NoError(t, err)
	assert.False(t, none.Has("a/b"))
	for _, bad := range []string{"", "image", "image/", "/png", "im*/png", "image/p*", "a/b;c"} {
		_, err := NewTypes([]string{bad})
		require.Error(t, err, "NewTypes(%q)", bad)
	}
}
