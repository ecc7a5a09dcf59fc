package frames

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// maxLine bounds a line of a recording; a frame takes two bytes of text for each of its own, and its decoded form.
const maxLine = 256 << 20

// line is a recording's line as it is written.
type line struct {
	TMS          float64         `json:"t_ms"`
	Conn         int             `json:"conn"`
	N            int             `json:"n"`
	Dir          string          `json:"dir"`
	Kind         string          `json:"kind"`
	Method       string          `json:"method,omitempty"`
	Type         string          `json:"type,omitempty"`
	Len          int             `json:"len"`
	Decoded      json.RawMessage `json:"decoded,omitempty"`
	Note         string          `json:"note,omitempty"`
	Hex          string          `json:"hex"`
	HexTruncated bool            `json:"hex_truncated,omitempty"`
	BodyFile     []byte          `json:"body_file,omitempty"`
}

// Read reads a recording: one JSON object a line, empty lines left out. Every frame that it returns is whole and of a
// known kind. Errors name the line.
func Read(r io.Reader) ([]Frame, error) {
	var all []Frame
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 {
			continue
		}
		f, err := readLine(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all = append(all, f)
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("it is longer than %d bytes", maxLine)
		}
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	return all, nil
}

func readLine(text []byte) (Frame, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return Frame{}, fmt.Errorf("not a frame of a recording: %w", err)
	}
	f := Frame{
		At: time.Duration(l.TMS * float64(time.Millisecond)), Conn: l.Conn, N: l.N, Dir: l.Dir, Kind: l.Kind,
		Method: l.Method, Type: l.Type, Decoded: slices.Clone(l.Decoded), Note: l.Note, BodyFile: l.BodyFile,
	}
	want := map[string]string{
		Connect: Neither, Close: Neither, Call: ToPlugin, Reply: ToPlugin, Method: ToKong, Args: ToKong, End: ToKong, RPCReturn: ToKong,
	}[l.Kind]
	switch {
	case want == "":
		return Frame{}, fmt.Errorf("kind: %q is none that a recording has", clip(l.Kind))
	case l.Dir != want:
		return Frame{}, fmt.Errorf("dir: %q does not go with kind %s, which is %q", clip(l.Dir), l.Kind, want)
	case l.HexTruncated:
		return Frame{}, errors.New("hex_truncated: the frame is cut and cannot be used; record it again with kongdev -record, which cuts nothing")
	}
	wire, err := hex.DecodeString(l.Hex)
	if err != nil {
		return Frame{}, fmt.Errorf("hex: %w", err)
	}
	if want == Neither {
		if len(wire) > 0 {
			return Frame{}, fmt.Errorf("hex: %s has no bytes", l.Kind)
		}
		return f, nil
	}
	if len(wire) < 4 || uint64(binary.LittleEndian.Uint32(wire)) != uint64(len(wire)-4) {
		return Frame{}, fmt.Errorf("hex: %d bytes are not one whole frame; its first four tell its length", len(wire))
	}
	if l.Kind == End && len(wire) != 4 {
		return Frame{}, fmt.Errorf("hex: %s is an empty frame", End)
	}
	f.Wire = wire
	return f, nil
}
