package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"kong-go-plugins/keyauth/key"
)

// ReadAdminAPI reads everything once, to be stored elsewhere. Credentials refer to their consumers by id.
func ReadAdminAPI(ctx context.Context, o AdminAPIOptions, hasher *key.Hasher) (consumers []Consumer, credentials []Credential, err error) {
	a, err := newAdminAPI(o, hasher)
	if err != nil {
		return nil, nil, err
	}
	defer a.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, a.o.Timeout)
	defer cancel()
	err = pages(ctx, a, "key-auths", func(k kongAPIKey) error {
		if k.ID == "" || k.Key == "" {
			return errors.New("a credential has no id or no key; is this Kong's Admin API?")
		}
		raw := []byte(k.Key)
		credentials = append(credentials, Credential{
			Entry: k.entry(time.Now()), Hash: hasher.Hash(raw), Weak: key.Weakness(k.Key) != "", Also: hasher.Also(raw),
		})
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	err = pages(ctx, a, "consumers", func(c kongAPIConsumer) error {
		consumers = append(consumers, c.consumer())
		return nil
	})
	return consumers, credentials, err
}

// kongAPIKey is a credential as Kong's Admin API shows it, and as releases before 1.0 did.
type kongAPIKey struct {
	ID         string
	Key        string
	Consumer   struct{ ID string }
	ConsumerID string  `json:"consumer_id"`
	CreatedAt  float64 `json:"created_at"`
	TTL        float64
	Tags       []string
}

type kongAPIConsumer struct {
	ID        string
	Username  string
	CustomID  string  `json:"custom_id"`
	CreatedAt float64 `json:"created_at"`
	UpdatedAt float64 `json:"updated_at"`
	Tags      []string
}

// epoch tells an absolute ttl, which gateways without a database have, from one that remains: no key is given 30 years.
const epoch = 1e9

func (k kongAPIKey) entry(now time.Time) Entry {
	e := Entry{ID: k.ID, ConsumerRef: k.Consumer.ID, CreatedAt: seconds(k.CreatedAt), Tags: k.Tags, Hint: key.Hint(k.Key)}
	if e.ConsumerRef == "" {
		e.ConsumerRef = k.ConsumerID
	}
	switch {
	case k.TTL > epoch:
		e.ExpiresAt = int64(k.TTL)
	case k.TTL > 0:
		e.ExpiresAt = now.Unix() + int64(k.TTL)
	}
	return e
}

func (c kongAPIConsumer) consumer() Consumer {
	return Consumer{
		ID: c.ID, Username: c.Username, CustomID: c.CustomID, Tags: c.Tags, CreatedAt: seconds(c.CreatedAt), UpdatedAt: seconds(c.UpdatedAt),
	}
}

// seconds takes times of Kong before 1.0 too, which were in milliseconds.
func seconds(t float64) int64 {
	if t > 1e11 {
		t /= 1000
	}
	return int64(t)
}

const (
	apiPage    = 1000
	maxAPIPage = 64 << 20 // bytes
)

// pages calls each for all entities of a list.
func pages[T any](ctx context.Context, a *AdminAPI, list string, each func(T) error) error {
	offset := ""
	for {
		var page struct {
			Data   *[]T
			Offset *string
		}
		if err := a.page(ctx, list, offset, &page); err != nil {
			return fmt.Errorf("GET /%s: %w", list, err)
		}
		if page.Data == nil {
			return fmt.Errorf("GET /%s: the answer has no data; is admin_api.url Kong's Admin API?", list)
		}
		for _, item := range *page.Data {
			if err := each(item); err != nil {
				return fmt.Errorf("GET /%s: %w", list, err)
			}
		}
		if page.Offset == nil || *page.Offset == "" {
			return nil
		}
		if *page.Offset == offset {
			return fmt.Errorf("GET /%s: the list does not end: the same offset came twice", list)
		}
		offset = *page.Offset
	}
}

func (a *AdminAPI) page(ctx context.Context, list, offset string, into any) error {
	u := a.base.JoinPath(list)
	query := url.Values{"size": {fmt.Sprint(apiPage)}}
	if offset != "" {
		query.Set("offset", offset)
	}
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	if token := a.o.Token; token != "" {
		if http.CanonicalHeaderKey(a.o.TokenHeader) == "Authorization" {
			token = "Bearer " + token
		}
		r.Header.Set(a.o.TokenHeader, token)
	}
	resp, err := a.client.Do(r)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err // the address may hold a password
		}
		return explainTLS("admin_api", err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("status %d; correct admin_api.token, or give its role the right to read", resp.StatusCode)
	case http.StatusNotFound:
		return errors.New("status 404; correct admin_api.url, or enable the bundled key-auth plugin, whose entities these are")
	default:
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	body := &io.LimitedReader{R: resp.Body, N: maxAPIPage}
	if err := json.NewDecoder(body).Decode(into); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if body.N <= 0 {
			return fmt.Errorf("the answer has more than %d MiB", maxAPIPage>>20)
		}
		return errors.New("the answer is cut off or no JSON; is admin_api.url Kong's Admin API?") // the error may quote a key
	}
	return nil
}
