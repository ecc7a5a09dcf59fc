package token

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// Keys reads keys and remembers what it read, so that a key is parsed once and not for every token. The zero value is
// ready, and safe for concurrent use. It remembers keys by the digest of their text.
type Keys struct {
	Now func() time.Time // nil is time.Now

	mu   sync.Mutex
	read map[[sha256.Size]byte]result
}

func (k *Keys) now() time.Time {
	if k.Now != nil {
		return k.Now()
	}
	return time.Now()
}

type result struct {
	set *keySet
	err error
}

// maxRemembered bounds the keys that are remembered. Workflows have a few; one that finds keys in requests starts over.
const maxRemembered = 64

// get reads a key: text, or an object as decoded JSON.
func (k *Keys) get(v any) (*keySet, error) {
	var text string
	object, isObject := v.(map[string]any)
	switch v := v.(type) {
	case nil:
		return nil, errors.New("key: is null")
	case string:
		text = v
	case map[string]any:
		b, err := json.Marshal(v)
		if err != nil {
			return nil, errors.New("key: an object that is not JSON")
		}
		text = string(b)
	default:
		return nil, errors.New("key: neither text nor a JSON object")
	}

	digest := sha256.Sum256([]byte(text))
	k.mu.Lock()
	r, known := k.read[digest]
	k.mu.Unlock()
	if known {
		return r.set, r.err
	}
	if isObject && len(text) <= maxKeyBytes {
		r.set, r.err = parseJSON(object)
	} else {
		r.set, r.err = parseText(text)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.read == nil || len(k.read) >= maxRemembered {
		k.read = map[[sha256.Size]byte]result{}
	}
	k.read[digest] = r
	return r.set, r.err
}
