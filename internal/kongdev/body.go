package kongdev

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

const (
	// bodyBuffer is Kong's client_body_buffer_size: larger bodies go to a file.
	bodyBuffer = 8 << 10
	// bodyFolder is nginx's folder for them below the prefix.
	bodyFolder = "client_body_temp"
)

// A body is a request body as nginx reads it: into memory up to 8 KB, else
// into a file that only the gateway's user can read.
type body struct {
	gw   *Gateway
	src  io.Reader
	size int64 // as announced; -1 when not
	read bool
	data []byte
	file string
	set  bool // replaced by a plugin

	received int64 // bytes that came from the client
}

func newBody(g *Gateway, r *http.Request) body {
	return body{gw: g, src: r.Body, size: r.ContentLength}
}

// load reads the whole body once.
func (b *body) load() error {
	if b.read {
		return nil
	}
	b.read = true
	if b.size == 0 {
		return nil
	}
	limit := int64(bodyBuffer)
	if b.size > limit {
		return b.spool(nil)
	}
	var data bytes.Buffer
	data.Grow(int(max(b.size, 0)) + bytes.MinRead) // one piece of memory where the size was announced
	n, err := data.ReadFrom(io.LimitReader(b.src, limit+1))
	if err != nil {
		return fmt.Errorf("request body: %w", err)
	}
	if n > limit {
		return b.spool(data.Bytes())
	}
	b.data, b.size, b.received = data.Bytes(), n, n
	return nil
}

func (b *body) spool(head []byte) error {
	name := filepath.Join(b.gw.prefix, bodyFolder, fmt.Sprintf("%010d", b.gw.bodies.Add(1)))
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("request body: %w", err)
	}
	b.file = name
	n, err := io.Copy(f, io.MultiReader(bytes.NewReader(head), b.src))
	b.size, b.received = n, n
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("request body: %w", err)
	}
	return nil
}

// replace is ngx.req.set_body_data.
func (b *body) replace(data []byte) {
	b.remove()
	b.data, b.size, b.read, b.set = data, int64(len(data)), true, true
}

// open returns the body for the upstream and its length.
func (b *body) open() (io.ReadCloser, int64, error) {
	if b.file == "" {
		if len(b.data) == 0 {
			return http.NoBody, 0, nil
		}
		return io.NopCloser(bytes.NewReader(b.data)), int64(len(b.data)), nil
	}
	f, err := os.Open(b.file)
	if err != nil {
		return nil, 0, fmt.Errorf("request body: %w", err)
	}
	return f, b.size, nil
}

func (b *body) remove() {
	if b.file != "" {
		_ = os.Remove(b.file)
		b.file = ""
	}
}
