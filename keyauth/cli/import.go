package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

type importKeys struct {
	from, url, tokenFile, tokenHeader string
	tls                               store.TLSOptions
	timeout                           time.Duration
	withConsumers, replace, dryRun    bool
}

func defineImport(f *flag.FlagSet) func(*session) error {
	var i importKeys
	f.StringVar(&i.from, "from", "", "`file` in Kong's declarative format, or another keys file; - is standard input")
	f.StringVar(&i.url, "from-admin-api", "", "`URL` of a Kong's Admin API, with the workspace's path if it is not the default one")
	f.StringVar(&i.tokenFile, "token-file", "", "`file` with the token for the Admin API")
	f.StringVar(&i.tokenHeader, "token-header", "Kong-Admin-Token", "`header` of the token; with Authorization it is sent as a bearer's")
	f.StringVar(&i.tls.CA, "ca", "", "`file` with the authorities that may certify the Admin API, instead of the system's")
	f.StringVar(&i.tls.Cert, "cert", "", "`file` with a client certificate for the Admin API")
	f.StringVar(&i.tls.Key, "cert-key", "", "`file` with its private key")
	f.DurationVar(&i.timeout, "timeout", time.Minute, "longest `time` for reading the Admin API")
	f.BoolVar(&i.withConsumers, "with-consumers", false, "take over consumers that have an id, too: from then on the keys file says who they are, not Kong")
	f.BoolVar(&i.replace, "replace", false, "let the source decide about keys that are there already, also what they are limited to")
	f.BoolVar(&i.dryRun, "dry-run", false, "only say what would be done")
	return i.run
}

// A report is what an import did, or would do.
type report struct {
	Stored       int  `json:"stored"`
	AlreadyThere int  `json:"already_there"`
	Different    int  `json:"different"` // there with another key or hash, and left alone
	LeftOut      int  `json:"left_out"`  // because something is unclear about them
	Weak         int  `json:"weak"`
	Consumers    int  `json:"consumers"`
	DryRun       bool `json:"dry_run"`
}

func (i *importKeys) run(s *session) error {
	if (i.from == "") == (i.url == "") {
		return usagef("-from, -from-admin-api: want one of them, the file or the Kong to take keys from")
	}
	hasher, err := s.hasher()
	if err != nil {
		return err
	}
	consumers, credentials, refused, err := i.read(s, hasher)
	if err != nil {
		return err
	}
	admin, err := s.open()
	if err != nil {
		return err
	}
	r := report{DryRun: i.dryRun, LeftOut: countErrors(refused)}
	if len(credentials)+r.LeftOut == 0 {
		s.note("the source has no keys (keyauth_credentials)")
	}
	if consumers, err = i.newConsumers(s, admin, consumers); err != nil {
		return err
	}
	for _, c := range credentials {
		if c.Weak && c.Hash.Algorithm == key.SHA256 {
			r.Weak++
		}
	}
	if credentials, err = i.newKeys(s.ctx, admin, credentials, &r); err != nil {
		return err
	}
	if err := i.resolve(s.ctx, admin, credentials); err != nil {
		return err
	}
	r.Stored, r.Consumers = len(credentials), len(consumers)
	if !i.dryRun {
		if err := admin.Import(s.ctx, consumers, credentials); err != nil {
			return err
		}
		s.warnOfLoss()
	}
	if err := r.print(s); err != nil {
		return err
	}
	if refused != nil {
		return fmt.Errorf("%d left out:\n%w", r.LeftOut, refused)
	}
	return nil
}

// read returns what the source has. refused are keys of it about which something is unclear.
func (i *importKeys) read(s *session, hasher *key.Hasher) (consumers []store.Consumer, credentials []store.Credential, refused, err error) {
	if i.url != "" {
		consumers, credentials, err = i.readAdminAPI(s, hasher)
		return consumers, credentials, nil, err
	}
	var text []byte
	if i.from == "-" {
		text, err = io.ReadAll(s.in)
	} else {
		text, err = os.ReadFile(i.from)
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("-from: %w", err)
	}
	if head, _, _ := bytes.Cut(text, []byte{'\n'}); bytes.Contains(head, []byte(`"keyauth-keys"`)) {
		consumers, credentials, err = i.readKeysFile(s)
	} else {
		consumers, credentials, refused, err = store.ParseDeclarative(text, hasher)
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("-from %s: %w", i.from, err)
	}
	return consumers, credentials, refused, nil
}

func (i *importKeys) readKeysFile(s *session) (consumers []store.Consumer, credentials []store.Credential, err error) {
	if i.from == "-" {
		return nil, nil, errors.New("a keys file is read by its name; give that instead of -")
	}
	other, err := store.OpenJournalAdmin(i.from)
	if err != nil {
		return nil, nil, err
	}
	err = eachConsumer(s.ctx, other, func(c store.Consumer) { consumers = append(consumers, c) })
	if err == nil {
		err = each(s.ctx, other, store.CredentialQuery{}, func(c store.Credential) { credentials = append(credentials, c) })
	}
	return consumers, credentials, err
}

func (i *importKeys) readAdminAPI(s *session, hasher *key.Hasher) ([]store.Consumer, []store.Credential, error) {
	token := ""
	if i.tokenFile != "" {
		text, err := os.ReadFile(i.tokenFile)
		if err != nil {
			return nil, nil, fmt.Errorf("-token-file: %w", err)
		}
		token = strings.TrimSpace(string(text))
	}
	o := store.AdminAPIOptions{URL: i.url, Token: token, TokenHeader: i.tokenHeader, TLS: i.tls, Timeout: i.timeout}
	consumers, credentials, err := store.ReadAdminAPI(s.ctx, o, hasher)
	if err != nil { // its names are those of the plugin's parameters
		names := strings.NewReplacer("admin_api.url", "-from-admin-api", "admin_api.token", "-token-file",
			"admin_api.key", "-cert-key", " or admin_api.server_name", "", "admin_api.", "-")
		return nil, nil, errors.New("-from-admin-api: " + strings.TrimPrefix(names.Replace(err.Error()), "-from-admin-api: "))
	}
	return consumers, credentials, nil
}

// newConsumers are those to store.
func (i *importKeys) newConsumers(s *session, admin store.Admin, consumers []store.Consumer) (list []store.Consumer, err error) {
	if !i.withConsumers {
		return nil, nil
	}
	there := map[string]bool{}
	if err := eachConsumer(s.ctx, admin, func(c store.Consumer) { there[c.ID] = true }); err != nil {
		return nil, err
	}
	for _, c := range consumers {
		if i.replace || !there[c.ID] {
			list = append(list, c)
		}
	}
	return list, nil
}

// newKeys are those to store; the others are counted.
func (i *importKeys) newKeys(ctx context.Context, admin store.Admin, credentials []store.Credential, r *report) (list []store.Credential, err error) {
	ids, keys := map[string]bool{}, map[key.Digest]bool{}
	err = each(ctx, admin, store.CredentialQuery{}, func(c store.Credential) { ids[c.ID], keys[c.Hash.Digest] = true, true })
	for _, c := range credentials {
		there := keys[c.Hash.Digest] || slices.ContainsFunc(c.Also, func(d key.Digest) bool { return keys[d] })
		switch {
		case i.replace || !ids[c.ID] && !there:
			list = append(list, c)
		case there:
			r.AlreadyThere++
		default:
			r.Different++
		}
	}
	return list, err
}

// resolve finds the owners of keys. Consumers that are not taken over stay Kong's, if the keys file does not have them.
func (i *importKeys) resolve(ctx context.Context, admin store.Admin, credentials []store.Credential) error {
	known := map[string]store.Entry{}
	for n := range credentials {
		e := &credentials[n].Entry
		if i.withConsumers && e.Consumer.ID != "" {
			continue
		}
		ref := e.ConsumerRef
		if e.Consumer.ID != "" {
			ref = e.Consumer.ID
		}
		found, ok := known[ref]
		if !ok {
			if err := owner(ctx, admin, &found, ref); err != nil {
				return err
			}
			known[ref] = found
		}
		e.Consumer, e.ConsumerRef = found.Consumer, found.ConsumerRef
	}
	return nil
}

func (r report) print(s *session) error {
	if s.isJSON() {
		return s.printJSON(r)
	}
	rows := [][]string{}
	add := func(n int, what string) {
		if n > 0 {
			rows = append(rows, []string{fmt.Sprint(n), what})
		}
	}
	stored := "stored"
	if r.DryRun {
		stored = "to be stored"
	}
	rows = append(rows, []string{fmt.Sprint(r.Stored), stored})
	add(r.Consumers, "of the consumers "+stored)
	add(r.AlreadyThere, "there already: left as they were")
	add(r.Different, "there already with another key or hash: left as they were; -replace takes the source's")
	add(r.LeftOut, "left out")
	add(r.Weak, "weak, with less than 20 characters: who reads the keys file can guess them; use a pepper, or rotate them")
	return printTable(s.out, rows)
}

func countErrors(err error) int {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return len(many.Unwrap())
	}
	return 0
}
