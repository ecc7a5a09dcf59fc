package store

import (
	"context"
	"fmt"

	"kong-go-plugins/keyauth/key"
)

// An Admin changes a store. What it has accepted is on the disk when it returns. It is safe for concurrent use, also by
// several processes on one store.
type Admin interface {
	// Credentials lists by id. A page may be asked for with any size above 0; next is empty after the last one.
	Credentials(ctx context.Context, q CredentialQuery) (page []Credential, next string, err error)
	// Credential returns ErrNotFound when there is none of this id.
	Credential(ctx context.Context, id string) (Credential, error)
	// CredentialByDigest returns ErrNotFound when no key has this digest.
	CredentialByDigest(ctx context.Context, d key.Digest) (Credential, error)
	// CreateCredential stores c, which has an id and a digest, if nobody has any of its digests. Its errors are *ConflictError and *ReferenceError.
	CreateCredential(ctx context.Context, c Credential) error
	// UpdateCredential changes a credential: change gets the present one, and nobody can write in between. An error of
	// change is returned as it is, and nothing is written. The id stays.
	UpdateCredential(ctx context.Context, id string, change func(*Credential) error) (Credential, error)
	// DeleteCredential returns ErrNotFound when there is none of this id.
	DeleteCredential(ctx context.Context, id string) error
	// DeleteExpired removes, and returns, the credentials that expired before this Unix time.
	DeleteExpired(ctx context.Context, before int64) ([]Credential, error)

	Consumers(ctx context.Context, q ConsumerQuery) (page []Consumer, next string, err error)
	// Consumer finds by id, then by username, or returns ErrNotFound.
	Consumer(ctx context.Context, idOrUsername string) (Consumer, error)
	ConsumerByCustomID(ctx context.Context, customID string) (Consumer, error)
	CreateConsumer(ctx context.Context, c Consumer) error
	UpdateConsumer(ctx context.Context, id string, change func(*Consumer) error) (Consumer, error)
	// DeleteConsumer removes the consumer's credentials as well.
	DeleteConsumer(ctx context.Context, id string) error

	// Import creates or replaces everything given, consumers by id and credentials by id, in one write.
	Import(ctx context.Context, consumers []Consumer, credentials []Credential) error

	Close() error
}

// A CredentialQuery asks for a page of credentials.
type CredentialQuery struct {
	ConsumerID string // only of this consumer
	Size       int
	Offset     string                // what the page before gave as next; an unreadable one is an *OffsetError
	Match      func(Credential) bool // nil: all
}

// A ConsumerQuery asks for a page of consumers.
type ConsumerQuery struct {
	Size   int
	Offset string
	Match  func(Consumer) bool
}

// A ConflictError says that something of this value exists already. A key has no value here: it is never shown.
type ConflictError struct{ Entity, Field, Value string }

func (e *ConflictError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s: there is one with this %s already", e.Entity, e.Field)
	}
	return fmt.Sprintf("%s: there is one with %s %q already", e.Entity, e.Field, e.Value)
}

// A ReferenceError says that the credential's consumer does not exist.
type ReferenceError struct{ ConsumerID string }

func (e *ReferenceError) Error() string {
	return fmt.Sprintf("consumer: there is none with id %q", e.ConsumerID)
}

// An OffsetError says that an offset was not made by a list before.
type OffsetError struct{ Offset string }

func (e *OffsetError) Error() string {
	return fmt.Sprintf("offset: %q is not one of this list; use the one that came with the page before", e.Offset)
}
