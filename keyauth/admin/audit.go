package admin

import (
	"log/slog"
	"time"

	"kong-go-plugins/keyauth/audit"
	"kong-go-plugins/keyauth/store"
)

type event = audit.Event

const (
	consumerEntity   = audit.Consumer
	credentialEntity = audit.Credential
)

// Audit records changes that are stored. A line is on the disk before the request is answered.
type Audit struct {
	file *audit.File // nil: to the log
	log  *slog.Logger
}

// NewAudit appends to a file. Without a path the lines go to the log.
func NewAudit(path string, log *slog.Logger) (*Audit, error) {
	if path == "" {
		return &Audit{log: log}, nil
	}
	file, err := audit.Open(path)
	return &Audit{file, log}, err
}

func (a *Audit) write(events ...event) error {
	if a.file == nil {
		for _, e := range events {
			a.log.Info("audit", "who", e.Who, "action", e.Action, "entity", e.Entity, "id", e.ID, "consumer", e.Consumer, "fields", e.Fields)
		}
		return nil
	}
	if err := a.file.Append(events...); err != nil {
		a.log.Error("audit file: a change is stored and not recorded", "error", err)
		return message(500, "the change is stored, but could not be recorded in the audit file")
	}
	return nil
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

// recordAll counts changes that are stored, and writes their lines.
func (a *API) recordAll(events ...event) error {
	for _, e := range events {
		a.metrics.changes.WithLabelValues(e.Entity, e.Action).Inc()
	}
	return a.Audit.write(events...)
}

func (c *call) record(action, entity, id, consumer string, fields []string) error {
	return c.recordAll(c.event(action, entity, id, consumer, fields))
}

func (c *call) recordCredential(action string, credential store.Credential) error {
	var fields []string
	if c.in != nil {
		fields = c.in.names()
	}
	return c.record(action, credentialEntity, credential.ID, consumerID(credential), fields)
}
