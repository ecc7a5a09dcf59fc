package admin

import (
	"time"

	"kong-go-plugins/keyauth/store"
)

// A Change is what somebody else than the API, a command for instance, did to a store.
type Change struct{ e event }

// ConsumerChange says what was done to a consumer.
func ConsumerChange(action string, c store.Consumer) Change {
	return Change{event{Action: action, Entity: consumerEntity, ID: c.ID}}
}

// CredentialChange says what was done to a credential, and to which fields of it.
func CredentialChange(action string, c store.Credential, fields ...string) Change {
	return Change{event{Action: action, Entity: credentialEntity, ID: c.ID, Consumer: consumerID(c), Fields: fields}}
}

// Record appends changes to the audit file, which there must be, in the API's form. They are on the disk when it returns nil.
func (a *Audit) Record(who string, changes ...Change) error {
	var events []event
	now := time.Now().UTC().Format(time.RFC3339Nano)
	for _, c := range changes {
		c.e.Time, c.e.Who = now, who
		events = append(events, c.e)
	}
	return a.append(events...)
}
