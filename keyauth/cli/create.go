package cli

import (
	"errors"
	"flag"
	"fmt"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

// made is what a command that makes a key prints as JSON.
type made struct {
	Key string `json:"key,omitempty"`
	view
}

type create struct {
	consumer, customID                       string
	createConsumer, keyStdin                 bool
	expires, notBefore, groups, scopes, nets string
	tags, prefix                             string
}

func defineCreate(f *flag.FlagSet) func(*session) error {
	var c create
	f.StringVar(&c.consumer, "consumer", "", "id or `username` of the consumer, in Kong or in the keys file")
	f.BoolVar(&c.createConsumer, "create-consumer", false, "make the consumer in the keys file, if there is none; Kong need not know it")
	f.StringVar(&c.customID, "custom-id", "", "custom `id` of a consumer that is made")
	f.StringVar(&c.expires, "expires", "never", "`time` at which the key ends: 90d, 48h, 2027-01-31, 2027-01-31T12:00:00Z or never")
	f.StringVar(&c.notBefore, "not-before", "", "`time` from which on it is good, in the same way")
	f.StringVar(&c.groups, "groups", "", "groups for the acl plugin, a comma `list`")
	f.StringVar(&c.scopes, "scopes", "", "what it is good for, a comma `list` of method:GET, route:NAME, service:NAME")
	f.StringVar(&c.nets, "cidrs", "", "client addresses that may use it, a comma `list`")
	f.StringVar(&c.tags, "tags", "", "tags to find it by, a comma `list`")
	f.StringVar(&c.prefix, "prefix", key.DefaultPrefix, "what the key begins with, a `word` for the product or environment")
	f.BoolVar(&c.keyStdin, "key-stdin", false, "store the key on standard input instead of making one")
	return c.run
}

func (c *create) run(s *session) error {
	entry, err := c.entry(s)
	if err != nil {
		return err
	}
	hasher, err := s.hasher()
	if err != nil {
		return err
	}
	admin, err := s.open()
	if err != nil {
		return err
	}
	secret := ""
	if c.keyStdin {
		secret, err = s.readSecret()
	} else {
		secret, err = key.New(c.prefix)
	}
	if err != nil {
		return err
	}
	hash := hasher.Hash([]byte(secret))
	if weak := key.Weakness(secret); weak != "" && hash.Algorithm == key.SHA256 {
		s.note("warning: %s", weak)
	}
	if err := owner(s.ctx, admin, &entry, c.consumer); err != nil {
		return err
	}
	if entry.Consumer.ID == "" && c.createConsumer {
		entry.Consumer, entry.ConsumerRef = c.newConsumer(s), ""
		if err := admin.CreateConsumer(s.ctx, entry.Consumer); err != nil {
			return err
		}
	}
	entry.Hint = key.Hint(secret)
	credential := store.Credential{Entry: entry, Hash: hash, Also: hasher.Also([]byte(secret))}
	if err := admin.CreateCredential(s.ctx, credential); err != nil {
		return c.explain(err)
	}
	if c.keyStdin {
		secret = "" // who gave it has it
	}
	if err := s.printKey(admin, secret, credential); err != nil {
		return err
	}
	s.warnOfLoss()
	s.note("%s: credential %s of %s, %s%s", s.path(), entry.ID, visible(consumerName(credential)), hintText(entry.Hint), endText(entry.ExpiresAt))
	if entry.Consumer.ID == "" {
		s.note("Kong has to know the consumer %s, else the key is refused; -create-consumer makes one in the keys file", visible(c.consumer))
	}
	return nil
}

// entry is what the flags say.
func (c *create) entry(s *session) (e store.Entry, err error) {
	if c.consumer == "" {
		return e, usagef("-consumer: it is missing; write the id or username of whom the key is for")
	}
	if c.customID != "" && !c.createConsumer {
		return e, usagef("-custom-id: it is for a consumer that is made; add -create-consumer")
	}
	if !c.keyStdin {
		if err := key.CheckPrefix(c.prefix); err != nil {
			return e, usageError{fmt.Errorf("-%w", err)}
		}
	}
	now := s.now()
	e = store.Entry{ID: store.NewID(), CreatedAt: now.Unix(), Groups: splitList(c.groups), Tags: splitList(c.tags)}
	var wrong [4]error
	e.ExpiresAt, wrong[0] = parseExpiry("-expires", c.expires, now)
	e.NotBefore, wrong[1] = parseMoment("-not-before", c.notBefore, now)
	e.Scopes, wrong[2] = parseScopes(c.scopes)
	e.CIDRs, wrong[3] = parseNetworks(c.nets)
	if err := errors.Join(wrong[:]...); err != nil {
		return e, err
	}
	if e.ExpiresAt != 0 && e.NotBefore >= e.ExpiresAt {
		return e, usagef("-not-before %q: it is not before -expires %q, so the key would never be good", c.notBefore, c.expires)
	}
	return e, nil
}

func (c *create) newConsumer(s *session) store.Consumer {
	now := s.now().Unix()
	consumer := store.Consumer{ID: store.NewID(), Username: c.consumer, CustomID: c.customID, CreatedAt: now, UpdatedAt: now}
	if store.IsUUID(c.consumer) {
		consumer.ID, consumer.Username = c.consumer, ""
	}
	return consumer
}

func (c *create) explain(err error) error {
	var conflict *store.ConflictError
	if errors.As(err, &conflict) && conflict.Field == "key" {
		return errors.New("-key-stdin: the keys file has this key already; keyauth keys show -key-stdin tells whose it is")
	}
	return err
}

// printKey prints a new key. One that nobody has seen is taken back.
func (s *session) printKey(admin store.Admin, secret string, c store.Credential) (err error) {
	switch {
	case s.isJSON():
		err = s.printJSON(made{secret, viewOf(c, s.now())})
	case secret != "":
		_, err = fmt.Fprintln(s.out, secret)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("the key could not be shown and was removed again: %w", err), admin.DeleteCredential(s.ctx, c.ID))
	}
	return nil
}

func hintText(hint string) string {
	if hint == "" {
		return ""
	}
	return "shown from now on as " + hint + ", "
}

func endText(at int64) string {
	if at == 0 {
		return "without an end"
	}
	return "good until " + showTime(at)
}
