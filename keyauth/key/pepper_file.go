package key

import (
	"errors"
	"os"
	"strings"
)

// ReadHasher returns a Hasher with the peppers of a file, one a line: the plugin's pepper, then its previous_peppers. Without a
// path there are none. Errors show nothing of the file.
func ReadHasher(path string) (*Hasher, error) {
	if path == "" {
		return NewHasher("")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) == 0 {
		return nil, errors.New("the file is empty; write the pepper into its first line")
	}
	return NewHasher(lines[0], lines[1:]...)
}
