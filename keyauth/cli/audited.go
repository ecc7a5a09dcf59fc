package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"kong-go-plugins/keyauth/admin"
	"kong-go-plugins/keyauth/store"
)

// audited is a store whose changes stand in the audit file. A line that cannot be written does not undo a change: the
// command goes on, so that a new key is shown, and fails in the end with what err says.
type audited struct {
	store.Admin
	log *admin.Audit
	err error
}

// newAudited opens the audit file before anything changes.
func newAudited(of store.Admin, path string) (*audited, error) {
	log, err := admin.NewAudit(path, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, fmt.Errorf("-audit-file: %w", err)
	}
	return &audited{Admin: of, log: log}, nil
}

// record writes a change's lines, unless err says that there was no change.
func (a *audited) record(err error, changes ...admin.Change) error {
	if err != nil {
		return err
	}
	if failed := a.log.Record(fmt.Sprintf("uid:%d", os.Getuid()), changes...); failed != nil && a.err == nil {
		a.err = fmt.Errorf("-audit-file: the change is stored, but could not be recorded: %w", failed)
	}
	return nil
}

func (a *audited) CreateConsumer(ctx context.Context, c store.Consumer) error {
	return a.record(a.Admin.CreateConsumer(ctx, c), admin.ConsumerChange("create", c))
}

func (a *audited) CreateCredential(ctx context.Context, c store.Credential) error {
	return a.record(a.Admin.CreateCredential(ctx, c), admin.CredentialChange("create", c))
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
	return c, a.record(err, admin.CredentialChange(action, c, fields...))
}

func (a *audited) DeleteCredential(ctx context.Context, id string) error {
	c, err := a.Credential(ctx, id)
	if err != nil {
		return err
	}
	return a.record(a.Admin.DeleteCredential(ctx, id), admin.CredentialChange("delete", c))
}

func (a *audited) Import(ctx context.Context, consumers []store.Consumer, credentials []store.Credential) error {
	var changes []admin.Change
	for _, c := range consumers {
		changes = append(changes, admin.ConsumerChange("import", c))
	}
	for _, c := range credentials {
		changes = append(changes, admin.CredentialChange("import", c))
	}
	return a.record(a.Admin.Import(ctx, consumers, credentials), changes...)
}
