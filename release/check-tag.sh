#!/usr/bin/env bash
# check-tag.sh vX.Y.Z says whether the sources are those of that release: Kong reads the version from them, not from the tag.
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${1:?usage: check-tag.sh vX.Y.Z}
version=${tag#v}
[[ $tag =~ ^v[0-9]+\.[0-9]+\.[0-9]+$ ]] || { echo "tag $tag: expected vX.Y.Z; Kong takes no other form" >&2; exit 1; }
for plugin in moesif keyauth datakit; do
  grep -qx "const Version = \"$version\"" "$plugin/schema.go" || { echo "tag $tag: $plugin/schema.go has another Version; change it first" >&2; exit 1; }
done
for file in CHANGELOG.md changelog/moesif.md changelog/keyauth.md changelog/datakit.md; do
  grep -qE "^## \[${version//./\\.}\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$" "$file" || { echo "tag $tag: $file has no section [$version] with a date; write it first" >&2; exit 1; }
done
