package content

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// Bounds of what is decoded. gzip and deflate stay below maxRatio by their nature (1032); brotli and zstd make 100 MB of
// 100 bytes.
const (
	maxCodings = 4
	maxRatio   = 2000
	freeBytes  = 64 << 10 // no ratio counts below this size
	maxWindow  = 8 << 20  // of zstd, what RFC 8878 asks decoders to support; brotli's format ends at 16 MB
)

// What Decode says of a body that stays as it is.
var (
	ErrUnknownCoding = errors.New("a content coding that is not decoded")
	ErrTooLong       = errors.New("unfolds to more than is captured")
)

// Codings returns the codings of a Content-Encoding header in the order in which they were applied, in lower case,
// without identity.
func Codings(header string) []string {
	if header == "" {
		return nil
	}
	var codings []string
	for c := range strings.SplitSeq(header, ",") {
		if c = strings.ToLower(strings.Trim(c, " \t")); c != "" && c != "identity" {
			codings = append(codings, c)
		}
	}
	return codings
}

// Decode undoes the codings, the last one first, and returns at most limit bytes. Each step is bound by limit and by its
// ratio; a body that breaks off, or that has something behind its end, is an error.
func Decode(body []byte, codings []string, limit int64) ([]byte, error) {
	if len(codings) > maxCodings {
		return nil, ErrUnknownCoding
	}
	for i := len(codings) - 1; i >= 0; i-- {
		plain, err := decode(body, codings[i], min(limit, max(freeBytes, maxRatio*int64(len(body)))))
		if err != nil {
			return nil, err
		}
		body = plain
	}
	return body, nil
}

func decode(body []byte, coding string, limit int64) ([]byte, error) {
	switch coding {
	case "gzip", "x-gzip":
		return gzips.read(body, limit)
	case "deflate": // zlib's format by the letter of HTTP; some servers send the bare one
		if plain, err := zlibs.read(body, limit); err == nil || errors.Is(err, ErrTooLong) {
			return plain, err
		}
		return flates.read(body, limit)
	case "br", "zstd":
		windows <- struct{}{}
		defer func() { <-windows }()
		if coding == "br" {
			return brotlis.read(body, limit)
		}
		return zstds.read(body, limit)
	}
	return nil, ErrUnknownCoding
}

// windows bounds how many decoders with large windows are at work, for a few bytes can claim one.
var windows = make(chan struct{}, 2)

// A decoder reads one body after the other.
type decoder struct {
	io.Reader
	reset func(*bytes.Reader) error
	input bytes.Reader
}

// decoders are those of one coding that rest. Their memory is given back when they rest for long.
type decoders struct{ pool sync.Pool }

func newDecoders(fresh func() *decoder) *decoders {
	return &decoders{sync.Pool{New: func() any { return fresh() }}}
}

var (
	gzips = newDecoders(func() *decoder {
		z := new(gzip.Reader)
		return &decoder{Reader: z, reset: func(r *bytes.Reader) error { return z.Reset(r) }}
	})
	zlibs = newDecoders(func() *decoder {
		d := &decoder{}
		d.reset = func(r *bytes.Reader) error {
			if z, ok := d.Reader.(zlib.Resetter); ok {
				return z.Reset(r, nil)
			}
			z, err := zlib.NewReader(r)
			if err == nil {
				d.Reader = z
			}
			return err
		}
		return d
	})
	flates = newDecoders(func() *decoder {
		z := flate.NewReader(bytes.NewReader(nil))
		return &decoder{Reader: z, reset: func(r *bytes.Reader) error { return z.(flate.Resetter).Reset(r, nil) }}
	})
	brotlis = newDecoders(func() *decoder {
		z := brotli.NewReader(bytes.NewReader(nil))
		return &decoder{Reader: z, reset: func(r *bytes.Reader) error { return z.Reset(r) }}
	})
	zstds = newDecoders(func() *decoder {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecodeBuffersBelow(0),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(2*maxWindow))
		if err != nil {
			panic(err) // the options are wrong
		}
		return &decoder{Reader: z, reset: func(r *bytes.Reader) error { return z.Reset(r) }}
	})
)

// read decodes one body to at most limit bytes.
func (p *decoders) read(body []byte, limit int64) ([]byte, error) {
	d := p.pool.Get().(*decoder)
	defer func() {
		d.input.Reset(nil) // the body is not kept
		p.pool.Put(d)
	}()
	d.input.Reset(body)
	if err := d.reset(&d.input); err != nil {
		return nil, err
	}
	var plain bytes.Buffer
	plain.Grow(int(min(limit, 4*int64(len(body)))) + bytes.MinRead)
	n, err := plain.ReadFrom(io.LimitReader(d, limit+1))
	switch {
	case n > limit:
		return nil, ErrTooLong
	case err != nil:
		return nil, err
	case d.input.Len() > 0:
		return nil, errors.New("has something behind its end")
	}
	return plain.Bytes(), nil
}
