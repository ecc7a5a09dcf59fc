package key_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/key"
)

const (
	pepperA = "pepper-a-0123456789"
	pepperB = "pepper-b-0123456789"
)

func hasher(t *testing.T, peppers ...string) *key.Hasher {
	t.Helper()
	current := ""
	if len(peppers) > 0 {
		current, peppers = peppers[0], peppers[1:]
	}
	h, err := key.NewHasher(current, peppers...)
	require.NoError(t, err)
	return h
}

func TestDigestsWithoutPepper(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []key.Digest{sha256.Sum256([]byte("abc"))}, hasher(t).Digests([]byte("abc")))
	assert.Equal(t, "sha256::ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0", hasher(t).Hash([]byte("abc")).String())
}

func TestDigestsTryEachPepper(t *testing.T) {
	t.Parallel()
	mac := func(pepper string) key.Digest {
		m := hmac.New(sha256.New, []byte(pepper))
		m.Write([]byte("abc"))
		return key.Digest(m.Sum(nil))
	}
	h := hasher(t, pepperA, pepperB)
	assert.Equal(t, []key.Digest{mac(pepperA), mac(pepperB), sha256.Sum256([]byte("abc"))}, h.Digests([]byte("abc")))
	s := h.Hash([]byte("abc"))
	assert.Equal(t, mac(pepperA), s.Digest)
	assert.Equal(t, key.HMACSHA256, s.Algorithm)
}

func TestRotatedPepperStillFindsOldKeys(t *testing.T) {
	t.Parallel()
	old := hasher(t, pepperA).Hash([]byte("abc"))
	plain := hasher(t).Hash([]byte("abc"))
	rotated := hasher(t, pepperB, pepperA)
	assert.Contains(t, rotated.Digests([]byte("abc")), old.Digest)
	assert.Contains(t, rotated.Digests([]byte("abc")), plain.Digest)
	assert.True(t, rotated.Knows(old))
	assert.True(t, rotated.Knows(plain))
	assert.False(t, hasher(t, pepperB).Knows(old))
}

// Whoever reads a store must not be able to use what stands there.
func TestStoredDigestIsNoKey(t *testing.T) {
	t.Parallel()
	for _, h := range []*key.Hasher{hasher(t), hasher(t, pepperA), hasher(t, pepperA, pepperB)} {
		s := h.Hash([]byte("abc"))
		for _, presented := range []string{s.String(), string(s.Digest[:]), strings.Split(s.String(), ":")[2]} {
			assert.NotContains(t, h.Digests([]byte(presented)), s.Digest)
		}
	}
}

func TestNewHasherRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		peppers []string
		want    string
	}{
		{"short", []string{"short"}, "pepper: 5 bytes are too few"},
		{"short previous", []string{pepperA, "short"}, "previous_peppers[1]: 5 bytes are too few"},
		{"twice", []string{pepperA, pepperA}, "previous_peppers[1]: this pepper is listed twice"},
		{"no current", []string{"", pepperA}, "previous_peppers: there is no pepper"},
	} {
		_, err := key.NewHasher(c.peppers[0], c.peppers[1:]...)
		require.ErrorContains(t, err, c.want, c.name)
		assert.NotContains(t, err.Error(), pepperA, c.name)
	}
}

func TestStoredText(t *testing.T) {
	t.Parallel()
	for _, h := range []*key.Hasher{hasher(t), hasher(t, pepperA)} {
		s := h.Hash([]byte("abc"))
		text, err := json.Marshal(map[string]any{"hash": s})
		require.NoError(t, err)
		var back struct{ Hash key.Stored }
		require.NoError(t, json.Unmarshal(text, &back))
		assert.Equal(t, s, back.Hash)
	}
	const good = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
	for _, bad := range []string{
		"", "x", "sha256", "sha256::", "sha256:p:" + good, "md5::" + good, "hmac-sha256::" + good, "hmac-sha256:P1:" + good,
		"hmac-sha256:0011223Z:" + good, "hmac-sha256:AABBCCDD:" + good, "sha256::" + good[1:], "sha256::" + good + "=",
		"sha256::" + good[:42] + "1", "sha256::" + good + ":", "SHA256::" + good,
	} {
		_, err := key.ParseStored(bad)
		require.Error(t, err, bad)
		assert.NotContains(t, err.Error(), good[1:40])
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(key.Pattern)
	seen := map[string]bool{}
	for _, prefix := range []string{"key", "acme_live", "A1", strings.Repeat("p", 32)} {
		for range 100 {
			k, err := key.New(prefix)
			require.NoError(t, err)
			assert.True(t, key.Valid(k), k)
			assert.False(t, key.Malformed(k, prefix), k)
			assert.Equal(t, k, pattern.FindString("token="+k+";"), "leak scanners find the whole key")
			assert.False(t, seen[k])
			seen[k] = true
		}
	}
	for _, prefix := range []string{"", "1a", "_a", "a_", "a__b", "a-b", "ä", strings.Repeat("p", 33)} {
		_, err := key.New(prefix)
		require.ErrorContains(t, err, "prefix: ", prefix)
	}
	assert.Regexp(t, `^[0-9A-Za-z]{32}$`, key.NewKong())
}

// A fixed key: the format may not change, since keys are in the hands of users.
func TestFormatIsStable(t *testing.T) {
	t.Parallel()
	const k = "acme_live_0123456789ABCDEFGHIJKLMN_4SiTTa"
	assert.True(t, key.Valid(k))
	assert.Equal(t, "acme_live_..."+k[len(k)-4:], key.Hint(k))
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	k, err := key.New("acme_live")
	require.NoError(t, err)
	other := byte('a')
	if k[20] == other {
		other = 'b'
	}
	for _, c := range []struct {
		name, key string
		want      bool
	}{
		{"whole", k, false},
		{"cut", k[:len(k)-1], true},
		{"a letter changed", k[:20] + string(other) + k[21:], true},
		{"longer", k + "a", true},
		{"case", strings.ToUpper(k[:len(k)-1]) + k[len(k)-1:], false}, // another prefix
		{"another's", "sk_0123", false},
		{"only the prefix", "acme_live_", true},
		{"prefix without underscore", "acme_livery", false},
		{"empty", "", false},
	} {
		assert.Equal(t, c.want, key.Malformed(c.key, "acme_live"), c.name)
	}
}

func TestWeaknessAndHint(t *testing.T) {
	t.Parallel()
	assert.Contains(t, key.Weakness("secret"), "the key has 6 characters")
	assert.Empty(t, key.Weakness(key.NewKong()))
	assert.Empty(t, key.Hint("secret"), "four of six characters are too many")
	assert.Equal(t, "...6789", key.Hint("01234567890123456789"))
	assert.Equal(t, "...??89", key.Hint("0123456789012345\n\x0089"))
}

func TestDigestsDifferInEachBit(t *testing.T) {
	t.Parallel()
	a, b := key.Digest(sha256.Sum256([]byte("a"))), key.Digest(sha256.Sum256([]byte("a")))
	assert.True(t, a.Equal(b))
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		require.False(t, a.Equal(b), "bit %d", i)
		b[i/8] ^= 1 << (i % 8)
	}
}

func FuzzParseStored(f *testing.F) {
	f.Add("sha256::ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0")
	f.Add("hmac-sha256:00112233:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := key.ParseStored(text); err == nil && s.String() != text {
			t.Errorf("ParseStored(%q).String() = %q", text, s)
		}
	})
}

// FuzzValid: a valid key has a usable prefix, is matched by the scanners' pattern, and no single change leaves it valid.
func FuzzValid(f *testing.F) {
	f.Add("acme_live_0123456789ABCDEFGHIJKLMN_4SiTTa", 3)
	pattern := regexp.MustCompile("^" + key.Pattern + "$")
	f.Fuzz(func(t *testing.T, k string, at int) {
		if len(key.Hint(k)) > len(k) {
			t.Errorf("Hint(%q) is longer than the key", k)
		}
		if !key.Valid(k) {
			return
		}
		if !pattern.MatchString(k) {
			t.Errorf("%q is valid and not matched", k)
		}
		at = (at%len(k) + len(k)) % len(k)
		if changed := []byte(k); true {
			changed[at] ^= 1
			if key.Valid(string(changed)) {
				t.Errorf("%q and %q are both valid", k, changed)
			}
		}
	})
}

func BenchmarkDigests(b *testing.B) {
	k := []byte("acme_live_0123456789ABCDEFGHIJKLMN_4SiTTa")
	for _, c := range []struct {
		name    string
		peppers []string
	}{{"plain", []string{""}}, {"pepper", []string{pepperA}}} {
		h, err := key.NewHasher(c.peppers[0])
		require.NoError(b, err)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.Digests(k)
			}
		})
	}
}
