package store_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
	"kong-go-plugins/keyauth/store/storetest"
)

// fixtures has one for each type of the package that is a store.
var fixtures = map[string]storetest.Fixture{ // read-only
	"Snapshot":    {Open: openInline, NotUTF8: true},
	"Journal":     {Open: openJournal, NotUTF8: true},
	"Declarative": {Open: openDeclarative, Hints: true},
	"AdminAPI":    {Open: openAdminAPI, Kong: true, Hints: true},
	"Redis":       {Open: openRedis, NotUTF8: true},
	"Cache":       {Open: openCache, NotUTF8: true},
	"Postgres":    {Open: openPostgres, Kong: true, Hints: true},
	"Chain":       {Open: openChain, NotUTF8: true},
}

func TestConformance(t *testing.T) {
	require.Equal(t, stores(t), slices.Sorted(maps.Keys(fixtures)), "each store has a fixture")
	for name, f := range fixtures {
		t.Run(name, func(t *testing.T) { storetest.Run(t, f) })
	}
}

// stores are the types of the package with a method Lookup.
func stores(t *testing.T) (names []string) {
	t.Helper()
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, 0)
		require.NoError(t, err)
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Lookup" {
				continue
			}
			typ := f.Recv.List[0].Type
			if star, ok := typ.(*ast.StarExpr); ok {
				typ = star.X
			}
			if name := typ.(*ast.Ident).Name; ast.IsExported(name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func credentials(given []storetest.Given) (list []store.Credential) {
	for _, g := range given {
		list = append(list, g.Credential)
	}
	return list
}

func openInline(t *testing.T, given []storetest.Given) store.Store {
	t.Helper()
	s, err := store.NewInline(credentials(given))
	require.NoError(t, err)
	return s
}

// openChain spreads what is given over three stores.
func openChain(t *testing.T, given []storetest.Given) store.Store {
	t.Helper()
	cut := len(given) / 2
	return store.Chain{
		{Name: "empty", Store: openInline(t, nil)},
		{Name: "first", Store: openInline(t, given[:cut])},
		{Name: "second", Store: openInline(t, given[cut:])},
	}
}

// openJournal writes one half before the store is opened and one half after, so that both ways of reading are used.
func openJournal(t *testing.T, given []storetest.Given) store.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyauth", "keys.jsonl")
	a, err := store.OpenJournalAdmin(path)
	require.NoError(t, err)
	put := func(given []storetest.Given) {
		for _, g := range given {
			if g.Consumer.ID != "" {
				require.NoError(t, a.Import(t.Context(), []store.Consumer{g.Consumer}, nil))
			}
			require.NoError(t, a.CreateCredential(t.Context(), g.Credential))
		}
	}
	put(given[:len(given)/2])
	j := store.OpenJournal(path, &hasher, quiet)
	put(given[len(given)/2:])
	for _, g := range given {
		if g.Consumer.ID != "" {
			require.NoError(t, a.Import(t.Context(), []store.Consumer{g.Consumer}, nil))
		}
	}
	j.Refresh()
	return j
}

var quiet = slog.New(slog.DiscardHandler) // read-only

func openDeclarative(t *testing.T, given []storetest.Given) store.Store {
	t.Helper()
	var consumers, keys []map[string]any
	seen := map[string]bool{}
	for _, g := range given {
		k := map[string]any{
			"id": g.ID, "key": g.Key, "consumer": g.ConsumerRef, "created_at": g.CreatedAt, "expires_at": g.ExpiresAt, "not_before": g.NotBefore,
			"disabled": g.Disabled, "groups": g.Groups, "scopes": g.Scopes, "cidrs": g.CIDRs, "hint": g.Hint, "tags": g.Tags,
		}
		c := g.Consumer
		if c.ID != "" {
			k["consumer"] = c.ID
		}
		if c.ID != "" && !seen[c.ID] {
			seen[c.ID] = true
			consumers = append(consumers, map[string]any{
				"id": c.ID, "username": c.Username, "custom_id": c.CustomID, "tags": c.Tags, "created_at": c.CreatedAt, "updated_at": c.UpdatedAt,
			})
		}
		keys = append(keys, k)
	}
	text, err := json.Marshal(map[string]any{"_format_version": "3.0", "consumers": consumers, "keyauth_credentials": keys})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "kong.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	d := store.OpenDeclarative(path, &key.Hasher{}, quiet)
	require.NoError(t, d.Health())
	return d
}

func openCache(t *testing.T, given []storetest.Given) store.Store {
	t.Helper()
	return store.NewCache(openInline(t, given), store.CacheOptions{})
}
