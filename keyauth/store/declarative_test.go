package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

const kongYAML = `
_format_version: "3.0"
_transform: true
services:
- name: echo
  url: http://echo.test
consumers:
- username: alice
  id: 11111111-1111-4111-8111-111111111111
  custom_id: a-1
  tags: [team]
  keyauth_credentials:
  - key: alices-key
    id: 22222222-2222-4222-8222-222222222222
    tags: [old]
    ttl: 1893456000
  - key_hash: sha256::ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0
    hint: "...abcd"
    groups: [gold]
    cidrs: [10.0.0.0/8]
  acls:
  - group: admins
- username: bob
  keyauth_credentials:
  - key: "12345678901234567890"
keyauth_credentials:
- key: top-by-name
  consumer: alice
- key: top-by-id
  consumer: {id: 11111111-1111-4111-8111-111111111111}
- key: elsewhere
  consumer: carol
  ttl: 0
`

func TestParseDeclarative(t *testing.T) {
	t.Parallel()
	consumers, credentials, refused, err := store.ParseDeclarative([]byte(kongYAML), &hasher)
	require.NoError(t, err)
	require.NoError(t, refused)
	alice := store.Consumer{ID: "11111111-1111-4111-8111-111111111111", Username: "alice", CustomID: "a-1", Tags: []string{"team"}}
	assert.Equal(t, []store.Consumer{alice}, consumers)
	require.Len(t, credentials, 6)
	assert.Equal(t, store.Credential{
		Entry: store.Entry{ID: "22222222-2222-4222-8222-222222222222", Consumer: alice, ExpiresAt: 1893456000, Tags: []string{"old"}},
		Hash:  hasher.Hash([]byte("alices-key")), Weak: true,
	}, credentials[0])
	assert.Equal(t, hasher.Hash([]byte("abc")), credentials[1].Hash)
	assert.Equal(t, "...abcd", credentials[1].Hint)
	assert.Equal(t, []string{"gold"}, credentials[1].Groups)
	assert.Equal(t, "bob", credentials[2].ConsumerRef, "only Kong knows the id")
	assert.Equal(t, "...7890", credentials[2].Hint)
	assert.False(t, credentials[2].Weak)
	assert.Equal(t, alice, credentials[3].Consumer)
	assert.Equal(t, alice, credentials[4].Consumer)
	assert.Equal(t, "carol", credentials[5].ConsumerRef)
	assert.Zero(t, credentials[5].ExpiresAt)
	_, again, _, _ := store.ParseDeclarative([]byte(kongYAML), &hasher)
	assert.Equal(t, credentials, again, "ids that are not given are the same each time")
	assert.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, credentials[2].ID)
}

func TestParseDeclarativeJSON(t *testing.T) {
	t.Parallel()
	_, credentials, _, err := store.ParseDeclarative([]byte("{\n\t\"_format_version\": \"1.1\",\n\t\"consumers\": [{\n\t\t\"username\": \"a\",\n\t\t\"keyauth_credentials\": [{\"key\": \"x\\ty\"}]}]\n}"), &hasher)
	require.NoError(t, err)
	require.Len(t, credentials, 1)
	assert.Equal(t, digest("x\ty"), credentials[0].Hash.Digest)
}

// A consumer that has nothing but a custom id is one to Kong. Without keys nothing is wanted of it here.
func TestParseDeclarativeOfACustomID(t *testing.T) {
	t.Parallel()
	text := strings.Replace(kongYAML, "- username: bob", "- custom_id: c-1\n- custom_id: c-2\n  tags: [x]\n- username: bob", 1)
	consumers, credentials, refused, err := store.ParseDeclarative([]byte(text), &hasher)
	require.NoError(t, err)
	require.NoError(t, refused)
	assert.Len(t, consumers, 1)
	assert.Len(t, credentials, 6)
}

// A ttl that Kong would read as an end in the seventies is left out, and the others work.
func TestParseDeclarativeTTL(t *testing.T) {
	t.Parallel()
	for _, ttl := range []string{"1", "3600", "100000000", "999999999"} {
		_, credentials, refused, err := store.ParseDeclarative([]byte(strings.Replace(kongYAML, "1893456000", ttl, 1)), &hasher)
		require.NoError(t, err)
		assert.Len(t, credentials, 5)
		require.ErrorContains(t, refused, "line 13: consumers[0].keyauth_credentials[0].ttl: "+ttl+" may mean")
		assert.ErrorContains(t, refused, "write expires_at")
		assert.NotContains(t, refused.Error(), "alices-key")
	}
}

func TestParseDeclarativeRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, old, new, want string }{
		{"no YAML", "services:", "services: [", "it is neither YAML nor JSON: line"},
		{"no format", "_format_version", "_format", "_format_version: want"},
		{"format", `"3.0"`, `"4.0"`, "_format_version: want"},
		{"nobody", "- username: bob", "- custom_id: b", "consumers[1]: it has neither id nor username, by which its keys could name it; write its id"},
		{"nothing", "- username: bob", "- tags: [b]", "consumers[1]: it has neither id nor username"},
		{"twice", "username: bob", "username: alice", `consumers[1].username: "alice" stands in the file twice`},
		{"no key", "key: top-by-name", "tags: []", "line 27: keyauth_credentials[0].key: it is missing"},
		{"number", `"12345678901234567890"`, "12345678", "line 25: consumers[1].keyauth_credentials[0].key: want text"},
		{"empty key", "top-by-name", `""`, "keyauth_credentials[0].key: want text of at least one character"},
		{"placeholder", "top-by-name", `${{ env "DECK_SECRET" }}`, "keyauth_credentials[0].key: it is a placeholder of decK"},
		{"placeholder within", "top-by-name", `"a-${{env \"DECK_SECRET\"}}"`, "deck file render --populate-env-vars"},
		{"mock of decK", "top-by-name", `DECK_ALICES_KEY_2`, "keyauth_credentials[0].key: it is a placeholder of decK"},
		{"list", "top-by-name", `[SECRET]`, "keyauth_credentials[0].key: want text"},
		{"both", "hint:", "key: SECRET\n    hint:", "consumers[0].keyauth_credentials[1].key_hash: there is a key too"},
		{"hash", "sha256::", "sha256:", "consumers[0].keyauth_credentials[1].key_hash: is no stored digest"},
		{"pepper", "sha256::", "hmac-sha256:01234567:", "key_hash: no configured pepper has the id 01234567"},
		{"same key", "top-by-id", "top-by-name", "keyauth_credentials[1].key: it is the key of line 27 too"},
		{"no owner", "  consumer: carol\n", "", "keyauth_credentials[2].consumer: it is missing"},
		{"other owner", "key: alices-key", "key: alices-key\n    consumer: bob", "consumer: it is not the consumer that the key stands below"},
		{"unknown field", "groups:", "group:", "line 17: consumers[0].keyauth_credentials[1]: a field is unknown"},
		{"cidr", "10.0.0.0/8", "10.0.0.0/33", `cidrs[0]: "10.0.0.0/33" is no address or network`},
		{"scope", "cidrs: [10.0.0.0/8]", "scopes: [GET]", `scopes[0]: "GET" is no scope`},
		{"type", "1893456000", "SECRET", "cannot unmarshal !!str a value into int64"},
		{"negative ttl", "1893456000", "-1", "ttl: -1 is negative"},
		{"negative time", "hint:", "expires_at: -1\n    hint:", "expires_at, not_before and created_at are seconds"},
		{"not a list", "consumers:", "consumers: {}\nx:", "cannot unmarshal !!map into"},
		{"field twice", "key: top-by-name", "key: SECRET\n  key: SECRET", "twice"},
	} {
		text := strings.Replace(kongYAML, c.old, c.new, 1)
		require.NotEqual(t, kongYAML, text, c.name)
		_, _, _, err := store.ParseDeclarative([]byte(text), &hasher)
		require.ErrorContains(t, err, c.want, c.name)
		assert.NotContains(t, err.Error(), "SECRET", c.name)
		assert.NotContains(t, err.Error(), "top-by", c.name)
	}
}

func TestDeclarativeIsReloaded(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "kong.yml")
	d := store.OpenDeclarative(path, &hasher, quiet)
	t.Cleanup(func() { assert.NoError(t, d.Close()) })
	_, err := d.Lookup(t.Context(), digest("a"))
	require.ErrorContains(t, err, "the file does not exist")
	assert.NotErrorIs(t, err, store.ErrNotFound)

	write := func(text string) { // as Kubernetes does: a new folder, then the link to it
		real, err := os.MkdirTemp(folder, "..data")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(real, "kong.yml"), []byte(text), 0o600))
		require.NoError(t, os.Symlink(filepath.Join(real, "kong.yml"), path+".new"))
		require.NoError(t, os.Rename(path+".new", path))
		d.Refresh()
	}
	write(kongYAML)
	require.NoError(t, d.Health())
	assert.True(t, has(d, "alices-key"))
	assert.Equal(t, 6, d.Len())
	write(strings.Replace(kongYAML, "alices-key", "alices-new-key", 1))
	assert.False(t, has(d, "alices-key"))
	assert.True(t, has(d, "alices-new-key"))
	write("_format_version: [")
	require.Error(t, d.Health())
	assert.True(t, has(d, "alices-new-key"), "the last good one stays")
	write(strings.Replace(kongYAML, "1893456000", "60", 1))
	require.ErrorContains(t, d.Health(), "this key is left out")
	assert.True(t, has(d, "abc"))
	assert.False(t, has(d, "alices-key"))
	write(kongYAML)
	require.NoError(t, d.Health())
}

// FuzzParseDeclarative: what is read is whole, no two credentials share a digest or an id, and errors show no key.
func FuzzParseDeclarative(f *testing.F) {
	f.Add(kongYAML)
	f.Add(strings.Replace(kongYAML, "1893456000", "60", 1))
	f.Add("_format_version: '3.0'\nkeyauth_credentials: [{key: &SECRETSECRET SECRETSECRET, consumer: *SECRETSECRET}]")
	f.Fuzz(func(t *testing.T, text string) {
		_, credentials, _, err := store.ParseDeclarative([]byte(text), &hasher)
		digests, ids := map[key.Digest]bool{}, map[string]bool{}
		for _, c := range credentials {
			if err != nil || c.ID == "" || c.Hash.Algorithm == "" || digests[c.Hash.Digest] || ids[c.ID] || (c.Consumer.ID == "") == (c.ConsumerRef == "") {
				t.Errorf("%+v", c)
			}
			digests[c.Hash.Digest], ids[c.ID] = true, true
		}
	})
}
