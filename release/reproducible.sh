#!/usr/bin/env bash
# Builds the release's binaries twice, from two folders and with two empty caches, and compares the bytes.
# ARCHES="amd64 arm64" are the processors.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

mkdir -p "$work/one/source" "$work/two"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done |
  tar --null -T - -cf - | tar -xf - -C "$work/one/source"
cp -r "$work/one/source" "$work/two/a folder with another name"

for copy in one two; do
  for arch in ${ARCHES:-amd64 arm64}; do
    (cd "$work/$copy"/*/ && GOCACHE=$work/cache/$copy GOOS=linux GOARCH=$arch make --no-print-directory release-binaries BIN="$work/out/$copy/$arch" VERSION=reproducible >/dev/null)
  done
  (cd "$work/out/$copy" && find . -type f | LC_ALL=C sort | xargs sha256sum) >"$work/$copy/sums"
done
if ! diff "$work/one/sums" "$work/two/sums"; then
  echo "reproducible: the two builds differ" >&2
  exit 1
fi
cat "$work/one/sums"
echo "reproducible: both builds are the same, byte for byte"
