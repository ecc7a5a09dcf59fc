package admin

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"kong-go-plugins/keyauth/store"
)

// An event is a line of the audit log. It holds no key, no hash and no value but ids.
type event struct {
	Time     string   `json:"time"`
	Who      string   `json:"who"`    // the token's name, uid:N of a unix socket's other side, or keyauth itself
	Action   string   `json:"action"` // create, replace, update, rotate, delete, expire, import
	Entity   string   `json:"entity"`
	ID       string   `json:"id"`
	Consumer string   `json:"consumer,omitempty"` // of a credential
	Fields   []string `json:"fields,omitempty"`   // which the request named
}

const (
	consumerEntity   = "consumer"
	credentialEntity = "credential"
)

// Audit records changes that are stored. A line is on the disk before the request is answered.
type Audit struct {
	path string // "" writes to the log
	log  *slog.Logger
	mu   sync.Mutex
}

// NewAudit appends to a file, which is opened for each change, so that it can be moved away at any time. Without a path
// the lines go to the log.
func NewAudit(path string, log *slog.Logger) (*Audit, error) {
	a := &Audit{path: path, log: log}
	if path == "" {
		return a, nil
	}
	return a, a.append() // says now that the file cannot be written
}

func (a *Audit) write(events ...event) error {
	if a.path == "" {
		for _, e := range events {
			a.log.Info("audit", "who", e.Who, "action", e.Action, "entity", e.Entity, "id", e.ID, "consumer", e.Consumer, "fields", e.Fields)
		}
		return nil
	}
	if err := a.append(events...); err != nil {
		a.log.Error("audit file: a change is stored and not recorded", "error", err)
		return message(500, "the change is stored, but could not be recorded in the audit file")
	}
	return nil
}

func (a *Audit) append(events ...event) (err error) {
	var text []byte
	for _, e := range events {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f, err := os.OpenFile(a.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if len(text) == 0 {
		return nil
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Sync()
}

func (c *call) event(action, entity, id, consumer string, fields []string) event {
	return c.API.event(c.who, action, entity, id, consumer, fields)
}

func (a *API) event(who, action, entity, id, consumer string, fields []string) event {
	if entity == consumerEntity {
		consumer = ""
	}
	return event{Time: a.now().UTC().Format(time.RFC3339Nano), Who: who, Action: action, Entity: entity, ID: id, Consumer: consumer, Fields: fields}
}

func (c *call) record(action, entity, id, consumer string, fields []string) error {
	return c.Audit.write(c.event(action, entity, id, consumer, fields))
}

func (c *call) recordCredential(action string, credential store.Credential) error {
	var fields []string
	if c.in != nil {
		fields = c.in.names()
	}
	return c.record(action, credentialEntity, credential.ID, consumerID(credential), fields)
}
