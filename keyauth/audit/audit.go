// Package audit is the file in which changes of keys and consumers are recorded: by the Admin API and by the commands.
package audit

import (
	"encoding/json"
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// An Event is a line of the file. It holds no key, no hash and no value but ids.
type Event struct {
	Time     string   `json:"time"`
	Who      string   `json:"who"`    // a token's name, uid:N of a user of the machine, or keyauth itself
	Action   string   `json:"action"` // create, replace, update, rotate, delete, expire, import
	Entity   string   `json:"entity"`
	ID       string   `json:"id"`
	Consumer string   `json:"consumer,omitempty"` // of a credential
	Fields   []string `json:"fields,omitempty"`   // which the request named
}

// Entities.
const (
	Consumer   = "consumer"
	Credential = "credential"
)

// A File is opened for each change, so that it can be moved away at any time. It is safe for concurrent use.
type File struct {
	path string
	mu   sync.Mutex
}

// Open makes the file if there is none, and says now that it cannot be written.
func Open(path string) (*File, error) {
	f := &File{path: path}
	return f, f.Append()
}

// Append adds a line for each event. They are on the disk when it returns nil.
func (f *File) Append(events ...Event) (err error) {
	var text []byte
	for _, e := range events {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if len(text) == 0 {
		return nil
	}
	if _, err := file.Write(text); err != nil {
		return err
	}
	return file.Sync()
}
