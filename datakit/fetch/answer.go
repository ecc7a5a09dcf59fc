package fetch

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// read takes an answer in, up to most bytes as sent and up to most bytes unpacked. What it has is returned beside an error.
func read(response *http.Response, most int) (*Answer, error) {
	answer := &Answer{Status: response.StatusCode, Header: response.Header}
	if response.ContentLength > int64(most) && response.Body != http.NoBody { // HEAD has a length, and nothing to read
		return answer, tooLarge(most)
	}
	body, err := readUpTo(response.Body, response.ContentLength, most)
	if err != nil {
		return answer, err
	}
	answer.Body = body
	open := opener(response.Header["Content-Encoding"])
	if open == nil || len(body) == 0 {
		return answer, nil
	}
	r, err := open(bytes.NewReader(body))
	if err == nil {
		body, err = readUpTo(r, 0, most)
	}
	if err != nil {
		answer.Body = nil
		if errors.Is(err, errTooLarge) {
			return answer, err
		}
		return answer, &Error{Kind: Protocol, text: "the response is labelled as packed and cannot be unpacked"}
	}
	answer.Body = body
	answer.Header.Del("Content-Encoding")
	answer.Header.Del("Content-Length")
	return answer, nil
}

// opener returns what undoes a Content-Encoding; nil when there is nothing to undo, or nothing that could.
func opener(encoding []string) func(io.Reader) (io.Reader, error) {
	if len(encoding) != 1 {
		return nil
	}
	switch strings.ToLower(strings.TrimSpace(encoding[0])) {
	case "gzip", "x-gzip":
		return func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }
	case "deflate":
		return func(r io.Reader) (io.Reader, error) {
			b := bufio.NewReader(r)
			if start, _ := b.Peek(2); len(start) == 2 && start[0]&0x0f == 8 && (int(start[0])<<8|int(start[1]))%31 == 0 {
				return zlib.NewReader(b)
			}
			return flate.NewReader(b), nil // some servers leave the frame out
		}
	}
	return nil
}

var errTooLarge = errors.New("too large")

func tooLarge(most int) error {
	return &Error{Kind: TooLarge, text: fmt.Sprintf("the response is larger than %d bytes (max_response_bytes)", most), err: errTooLarge}
}

// readUpTo reads all of r, most bytes at most. expected is how much that may be; 0 or less is unknown.
func readUpTo(r io.Reader, expected int64, most int) ([]byte, error) {
	var b bytes.Buffer
	if expected > 0 {
		b.Grow(int(min(expected, 1<<20)) + bytes.MinRead) // a length is only a claim
	}
	n, err := b.ReadFrom(io.LimitReader(r, int64(most)+1))
	if n > int64(most) {
		return nil, tooLarge(most)
	}
	return b.Bytes(), err
}
