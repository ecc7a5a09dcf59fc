package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

// common are the flags of every command.
type common struct {
	prefix, store, output, pepperFile, auditFile string
}

var commonNames = []string{"kong-prefix", "store", "o", "pepper-file", "audit-file"} // read-only

func isCommon(name string) bool {
	for _, n := range commonNames {
		if n == name {
			return true
		}
	}
	return false
}

func defineCommon(f *flag.FlagSet) *common {
	c := &common{}
	f.StringVar(&c.prefix, "kong-prefix", "/usr/local/kong", "Kong's prefix, a `folder`: the keys are in keyauth/keys.jsonl below it")
	f.StringVar(&c.store, "store", "", "the keys `file`, when the plugin's parameter snapshot names another one")
	f.StringVar(&c.output, "o", "table", "print for people or for programs, `form`: table or json")
	f.StringVar(&c.pepperFile, "pepper-file", "", "`file` with the plugin's pepper in its first line, and previous_peppers in the lines that follow")
	f.StringVar(&c.auditFile, "audit-file", "", "`file` to append a JSON line to for each change, as keyauth admin does")
	return c
}

func (c *common) check() error {
	if c.output != "table" && c.output != "json" {
		return fmt.Errorf("-o %q: want table or json", c.output)
	}
	return nil
}

// A session is one run of a command.
type session struct {
	streams
	*common
	ids     []string // words that are no flags
	ctx     context.Context
	audited *audited // nil: without -audit-file
}

func (s *session) path() string {
	if s.store != "" {
		return s.store
	}
	return filepath.Join(s.prefix, "keyauth", "keys.jsonl")
}

// open opens the keys file, which need not exist.
func (s *session) open() (store.Admin, error) {
	folder, field := filepath.Dir(s.path()), "-store"
	if s.store == "" {
		folder, field = s.prefix, "-kong-prefix" // its folder keyauth is made when needed
	}
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%s: the folder %s does not exist; name Kong's prefix with -kong-prefix, or the keys file with -store", field, folder)
	case err == nil && !info.IsDir():
		return nil, fmt.Errorf("%s: %s is no folder", field, folder)
	}
	file, err := store.OpenJournalAdmin(s.path())
	if err != nil || s.auditFile == "" {
		return file, err
	}
	s.audited, err = newAudited(file, s.auditFile)
	return s.audited, err
}

// hasher hashes keys as the plugin does.
func (s *session) hasher() (*key.Hasher, error) {
	h, err := key.ReadHasher(s.pepperFile)
	if err != nil {
		return nil, fmt.Errorf("-pepper-file: %w", err)
	}
	return h, nil
}

// note tells the person at the terminal something that is no result.
func (s *session) note(format string, args ...any) { fmt.Fprintf(s.err, format+"\n", args...) }

// warnOfLoss says what is wrong with where the keys file is, which was written to.
func (s *session) warnOfLoss() {
	for _, text := range s.warnings(s.path()) {
		s.note("warning: %s", text)
	}
}

// find returns the credentials that are meant: by ids, or by the key on standard input.
func (s *session) find(admin store.Admin, byKey bool) ([]store.Credential, error) {
	if !byKey && len(s.ids) == 0 {
		return nil, usagef("ID is missing: name the credential as keyauth keys list shows it, or give the key with -key-stdin")
	}
	if byKey && len(s.ids) > 0 {
		return nil, usagef("-key-stdin: there is an ID too; keep one of them")
	}
	if byKey {
		return s.findByKey(admin)
	}
	var found []store.Credential
	for i, id := range s.ids {
		c, err := admin.Credential(s.ctx, id)
		if errors.Is(err, store.ErrNotFound) { // what was written may be a key: it is not repeated
			return nil, fmt.Errorf("ID %d: there is no such credential in %s; keyauth keys list shows them. A key is not given here, but with -key-stdin", i+1, s.path())
		}
		if err != nil {
			return nil, err
		}
		found = append(found, c)
	}
	return found, nil
}

// findByKey returns more than one when the key is stored with several peppers; the first is the one that the plugin finds.
func (s *session) findByKey(admin store.Admin) (found []store.Credential, err error) {
	hasher, err := s.hasher()
	if err != nil {
		return nil, err
	}
	secret, err := s.readSecret()
	if err != nil {
		return nil, err
	}
	for _, d := range hasher.Digests([]byte(secret)) {
		c, err := admin.CredentialByDigest(s.ctx, d)
		switch {
		case err == nil:
			found = append(found, c)
		case !errors.Is(err, store.ErrNotFound):
			return nil, err
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	if strings.Contains(secret, "_") && len(secret) > 32 && !key.Valid(secret) {
		return nil, fmt.Errorf("-key-stdin: %s does not have this key; its checksum is not that of a key made here: is it whole?", s.path())
	}
	return nil, fmt.Errorf("-key-stdin: %s does not have this key; with a pepper, name -pepper-file", s.path())
}

// owner resolves the id or username of a consumer: to the file's consumer if it has one, else to a reference that Kong
// will resolve.
func owner(ctx context.Context, admin store.Admin, e *store.Entry, ref string) error {
	c, err := admin.Consumer(ctx, ref)
	switch {
	case err == nil:
		e.Consumer, e.ConsumerRef = c, ""
	case errors.Is(err, store.ErrNotFound):
		e.Consumer, e.ConsumerRef = store.Consumer{}, ref
	default:
		return err
	}
	return nil
}

// pageSize is how much is read of a store at a time.
const pageSize = 1000

// each calls f for every credential that the query matches.
func each(ctx context.Context, admin store.Admin, q store.CredentialQuery, f func(store.Credential)) error {
	for q.Size = pageSize; ; {
		page, next, err := admin.Credentials(ctx, q)
		if err != nil {
			return err
		}
		for _, c := range page {
			f(c)
		}
		if next == "" {
			return nil
		}
		q.Offset = next
	}
}

// eachConsumer calls f for every consumer of the store.
func eachConsumer(ctx context.Context, admin store.Admin, f func(store.Consumer)) error {
	for q := (store.ConsumerQuery{Size: pageSize}); ; {
		page, next, err := admin.Consumers(ctx, q)
		if err != nil {
			return err
		}
		for _, c := range page {
			f(c)
		}
		if next == "" {
			return nil
		}
		q.Offset = next
	}
}
