package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

// A view is a credential as it is printed. Times are Unix times.
type view struct {
	ID         string   `json:"id"`
	Consumer   string   `json:"consumer"`              // username, or id where that is all that is known
	ConsumerID string   `json:"consumer_id,omitempty"` // of a consumer in the keys file
	Hint       string   `json:"hint,omitempty"`
	State      string   `json:"state"`
	CreatedAt  int64    `json:"created_at,omitempty"`
	ExpiresAt  int64    `json:"expires_at,omitempty"`
	NotBefore  int64    `json:"not_before,omitempty"`
	LastUsedAt int64    `json:"last_used_at,omitempty"` // only where keys are shown
	Groups     []string `json:"groups,omitempty"`
	Scopes     []string `json:"scopes,omitempty"`
	CIDRs      []string `json:"cidrs,omitempty"`
	Tags       []string `json:"tags,omitempty"`
	Hash       string   `json:"hash"` // how it is hashed; not the digest
}

func viewOf(c store.Credential, now time.Time) view {
	v := view{
		ID: c.ID, Consumer: consumerName(c), ConsumerID: c.Consumer.ID, Hint: c.Hint, State: stateOf(c.Entry, now),
		CreatedAt: c.CreatedAt, ExpiresAt: c.ExpiresAt, NotBefore: c.NotBefore,
		Groups: c.Groups, Scopes: c.Scopes, Tags: c.Tags, Hash: c.Hash.Algorithm,
	}
	if c.Hash.Algorithm == key.HMACSHA256 {
		v.Hash += ", pepper " + c.Hash.Pepper
	}
	for _, network := range c.CIDRs {
		v.CIDRs = append(v.CIDRs, network.String())
	}
	return v
}

func consumerName(c store.Credential) string {
	switch {
	case c.Consumer.Username != "":
		return c.Consumer.Username
	case c.Consumer.ID != "":
		return c.Consumer.ID
	}
	return c.ConsumerRef
}

// stateOf says what the plugin thinks of a key at the moment.
func stateOf(e store.Entry, now time.Time) string {
	switch {
	case e.Disabled:
		return "disabled"
	case e.ExpiresAt != 0 && time.Unix(e.ExpiresAt, 0).Sub(now) < time.Second:
		return "expired"
	case e.NotBefore != 0 && now.Before(time.Unix(e.NotBefore, 0)):
		return "not yet valid"
	}
	return "valid"
}

func (s *session) isJSON() bool { return s.output == "json" }

func (s *session) printJSON(v any) error {
	e := json.NewEncoder(s.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printTable prints rows in columns. Texts of others may hold anything; a terminal gets nothing but visible characters.
func printTable(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, visible(cell))
		}
		fmt.Fprint(t, "\n")
	}
	return t.Flush()
}

func visible(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}
