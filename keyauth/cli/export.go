package cli

import (
	"flag"
	"net/netip"

	"go.yaml.in/yaml/v3"

	"kong-go-plugins/keyauth/store"
)

type export struct{ format, consumer string }

func defineExport(f *flag.FlagSet) func(*session) error {
	var e export
	f.StringVar(&e.format, "format", "declarative", "`what` to print: declarative, for the parameter file or an import, or config, for the parameter credentials")
	f.StringVar(&e.consumer, "consumer", "", "only of the consumer with this id or `username`")
	return e.run
}

// A declarativeFile is what store.ParseDeclarative reads. Kong does not know key_hash.
type declarativeFile struct {
	Format    string                `yaml:"_format_version" json:"_format_version"`
	Consumers []declarativeConsumer `yaml:"consumers,omitempty" json:"consumers,omitempty"`
	Keys      []declarativeKey      `yaml:"keyauth_credentials" json:"keyauth_credentials"`
}

type declarativeConsumer struct {
	ID        string   `yaml:"id" json:"id"`
	Username  string   `yaml:"username,omitempty" json:"username,omitempty"`
	CustomID  string   `yaml:"custom_id,omitempty" json:"custom_id,omitempty"`
	Tags      []string `yaml:"tags,omitempty" json:"tags,omitempty"`
	CreatedAt int64    `yaml:"created_at,omitempty" json:"created_at,omitempty"`
	UpdatedAt int64    `yaml:"updated_at,omitempty" json:"updated_at,omitempty"`
}

type declarativeKey struct {
	ID        string         `yaml:"id" json:"id"`
	KeyHash   string         `yaml:"key_hash" json:"key_hash"`
	Consumer  string         `yaml:"consumer" json:"consumer"`
	CreatedAt int64          `yaml:"created_at,omitempty" json:"created_at,omitempty"`
	ExpiresAt int64          `yaml:"expires_at,omitempty" json:"expires_at,omitempty"`
	NotBefore int64          `yaml:"not_before,omitempty" json:"not_before,omitempty"`
	Disabled  bool           `yaml:"disabled,omitempty" json:"disabled,omitempty"`
	Groups    []string       `yaml:"groups,omitempty" json:"groups,omitempty"`
	Scopes    []string       `yaml:"scopes,omitempty" json:"scopes,omitempty"`
	CIDRs     []netip.Prefix `yaml:"cidrs,omitempty" json:"cidrs,omitempty"`
	Hint      string         `yaml:"hint,omitempty" json:"hint,omitempty"`
	Tags      []string       `yaml:"tags,omitempty" json:"tags,omitempty"`
}

// A configKey is one of the plugin's credentials, which have neither tags nor a time of creation.
type configKey struct {
	Digest    string         `yaml:"digest" json:"digest"`
	Consumer  string         `yaml:"consumer" json:"consumer"`
	ID        string         `yaml:"id,omitempty" json:"id,omitempty"`
	ExpiresAt int64          `yaml:"expires_at,omitempty" json:"expires_at,omitempty"`
	NotBefore int64          `yaml:"not_before,omitempty" json:"not_before,omitempty"`
	Disabled  bool           `yaml:"disabled,omitempty" json:"disabled,omitempty"`
	Groups    []string       `yaml:"groups,omitempty" json:"groups,omitempty"`
	Scopes    []string       `yaml:"scopes,omitempty" json:"scopes,omitempty"`
	CIDRs     []netip.Prefix `yaml:"cidrs,omitempty" json:"cidrs,omitempty"`
	Hint      string         `yaml:"hint,omitempty" json:"hint,omitempty"`
}

func (e *export) run(s *session) error {
	if e.format != "declarative" && e.format != "config" {
		return usagef("-format %q: want declarative or config", e.format)
	}
	admin, err := s.open()
	if err != nil {
		return err
	}
	if e.format == "config" {
		return e.config(s, admin)
	}
	file := declarativeFile{Format: "3.0", Keys: []declarativeKey{}}
	err = eachConsumer(s.ctx, admin, func(c store.Consumer) {
		if e.consumer == "" || e.consumer == c.ID || e.consumer == c.Username {
			file.Consumers = append(file.Consumers, declarativeConsumer{c.ID, c.Username, c.CustomID, c.Tags, c.CreatedAt, c.UpdatedAt})
		}
	})
	if err != nil {
		return err
	}
	err = each(s.ctx, admin, store.CredentialQuery{}, func(c store.Credential) {
		if isOf(c, e.consumer) {
			file.Keys = append(file.Keys, declarativeKeyOf(c))
		}
	})
	if err != nil {
		return err
	}
	return s.printDocument(file)
}

// config prints the parameter credentials, whose consumers are Kong's.
func (e *export) config(s *session, admin store.Admin) error {
	keys, own := []configKey{}, 0
	err := each(s.ctx, admin, store.CredentialQuery{}, func(c store.Credential) {
		if !isOf(c, e.consumer) {
			return
		}
		keys = append(keys, configKeyOf(c))
		if c.Consumer.ID != "" {
			own++
		}
	})
	if err != nil {
		return err
	}
	if err := s.printDocument(map[string]any{"credentials": keys}); err != nil {
		return err
	}
	if own > 0 {
		s.note("%d of these keys have consumers that stand in the keys file: Kong has to know them by the same name, else it refuses the keys", own)
	}
	return nil
}

func declarativeKeyOf(c store.Credential) declarativeKey {
	ref := c.ConsumerRef
	if c.Consumer.ID != "" {
		ref = c.Consumer.ID
	}
	return declarativeKey{
		ID: c.ID, KeyHash: c.Hash.String(), Consumer: ref, CreatedAt: c.CreatedAt, ExpiresAt: c.ExpiresAt, NotBefore: c.NotBefore,
		Disabled: c.Disabled, Groups: c.Groups, Scopes: c.Scopes, CIDRs: c.CIDRs, Hint: c.Hint, Tags: c.Tags,
	}
}

func configKeyOf(c store.Credential) configKey {
	k := configKey{
		Digest: c.Hash.String(), Consumer: consumerName(c), ExpiresAt: c.ExpiresAt, NotBefore: c.NotBefore,
		Disabled: c.Disabled, Groups: c.Groups, Scopes: c.Scopes, CIDRs: c.CIDRs, Hint: c.Hint,
	}
	if store.IsUUID(c.ID) { // the parameter takes no other id
		k.ID = c.ID
	}
	return k
}

// printDocument prints YAML, or JSON with -o json.
func (s *session) printDocument(v any) error {
	if s.isJSON() {
		return s.printJSON(v)
	}
	e := yaml.NewEncoder(s.out)
	e.SetIndent(2)
	if err := e.Encode(v); err != nil {
		return err
	}
	return e.Close()
}
