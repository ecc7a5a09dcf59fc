package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"kong-go-plugins/keyauth/audit"
	"kong-go-plugins/keyauth/store"
)

// audited is a store whose changes stand in the audit file. A line that cannot be written does not undo a change: the
// command goes on, so that a new key is shown, and fails in the end with what err says.
type audited struct {
	store.Admin
	log *audit.File
	err error
}

// newAudited opens the audit file before anything changes.
func newAudited(of store.Admin, path string) (*audited, error) {
	log, err := audit.Open(path)
	if err != nil {
		return nil, fmt.Errorf("-audit-file: %w", err)
	}
	return &audited{Admin: of, log: log}, nil
}

// record writes a change's lines, unless err says that there was no change.
func (a *audited) record(err error, changes ...audit.Event) error {
	if err != nil {
		return err
	}
	for i := range changes {
		changes[i].Time, changes[i].Who = time.Now().UTC().Format(time.RFC3339Nano), fmt.Sprintf("uid:%d", os.Getuid())
	}
	if failed := a.log.Append(changes...); failed != nil && a.err == nil {
		a.err = fmt.Errorf("-audit-file: the change is stored, but could not be recorded: %w", failed)
	}
	return nil
}

func (a *audited) CreateConsumer(ctx context.Context, c store.Consumer) error {
	return a.record(a.Admin.CreateConsumer(ctx, c), consumerChange("create", c))
}

func (a *audited) CreateCredential(ctx context.Context, c store.Credential) error {
	return a.record(a.Admin.CreateCredential(ctx, c), credentialChange("create", c))
}

func (a *audited) UpdateCredential(ctx context.Context, id string, change func(*store.Credential) error) (store.Credential, error) {
	action, fields := "update", []string(nil)
	c, err := a.Admin.UpdateCredential(ctx, id, func(c *store.Credential) error {
		old := *c
		err := change(c)
		action, fields = "update", nil
		if old.Disabled != c.Disabled {
			fields = append(fields, "disabled")
		}
		if old.ExpiresAt != c.ExpiresAt { // nothing but a rotation moves the end
			action, fields = "rotate", append(fields, "expires_at")
		}
		return err
	})
	return c, a.record(err, credentialChange(action, c, fields...))
}

func (a *audited) DeleteCredential(ctx context.Context, id string) error {
	c, err := a.Credential(ctx, id)
	if err != nil {
		return err
	}
	return a.record(a.Admin.DeleteCredential(ctx, id), credentialChange("delete", c))
}

func (a *audited) Import(ctx context.Context, consumers []store.Consumer, credentials []store.Credential) error {
	var changes []audit.Event
	for _, c := range consumers {
		changes = append(changes, consumerChange("import", c))
	}
	for _, c := range credentials {
		changes = append(changes, credentialChange("import", c))
	}
	return a.record(a.Admin.Import(ctx, consumers, credentials), changes...)
}

func consumerChange(action string, c store.Consumer) audit.Event {
	return audit.Event{Action: action, Entity: audit.Consumer, ID: c.ID}
}

func credentialChange(action string, c store.Credential, fields ...string) audit.Event {
	owner := c.Consumer.ID
	if owner == "" {
		owner = c.ConsumerRef
	}
	return audit.Event{Action: action, Entity: audit.Credential, ID: c.ID, Consumer: owner, Fields: fields}
}
