#!/usr/bin/env bash
. "$(dirname "$0")/../../show.sh"
keys() { cat >"$KONGDEV_PREFIX/keys.yml.new" && mv "$KONGDEV_PREFIX/keys.yml.new" "$KONGDEV_PREFIX/keys.yml"; }

# A file that is not there is no reason to let anybody in, nor to call a key wrong.
status "$KONGDEV_URL/orders" -H 'X-Api-Key: alices-key-of-many-letters'

# alice's key stands in clear, bob's as a digest, with an end.
keys <<'END'
_format_version: "3.0"
consumers:
- username: alice
  keyauth_credentials:
  - key: alices-key-of-many-letters
- username: bob
  keyauth_credentials:
  - key_hash: sha256::Y0AmR6SwmcsvaVYUyELz5BVwIDY2F9afrshpuWzQpz8
    expires_at: 4102444800 # 2100
END
wait_for is 200 "$KONGDEV_URL/orders" -H 'X-Api-Key: alices-key-of-many-letters'
status "$KONGDEV_URL/orders" -H 'X-Api-Key: shop_f6wiR9tTKQ57f0pXJFqgBCWr_1XS7s9'

# Half a file changes nothing; Kong's log says what is wrong with it.
echo '_format_version: "3.0' | keys
sleep 2
status "$KONGDEV_URL/orders" -H 'X-Api-Key: alices-key-of-many-letters'

# Without alice's key it ends.
keys <<'END'
_format_version: "3.0"
consumers:
- username: bob
  keyauth_credentials:
  - key_hash: sha256::Y0AmR6SwmcsvaVYUyELz5BVwIDY2F9afrshpuWzQpz8
END
wait_for is 401 "$KONGDEV_URL/orders" -H 'X-Api-Key: alices-key-of-many-letters'
status "$KONGDEV_URL/orders" -H 'X-Api-Key: shop_f6wiR9tTKQ57f0pXJFqgBCWr_1XS7s9'
