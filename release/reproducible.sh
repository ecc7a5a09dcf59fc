#!/usr/bin/env bash
# Builds the release's binaries twice, from two folders and with two empty caches, and compares the bytes.
# ARCHES="amd64 arm64" are the processors.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

for copy in one two; do
  mkdir -p "$work/$copy/source"
  git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done |
    tar --null -T - -cf - | tar -xf - -C "$work/$copy/source"
  for arch in ${ARCHES:-amd64 arm64}; do
    (cd "$work/$copy/source" && GOCACHE=$work/$copy/cache GOOS=linux GOARCH=$arch make --no-print-directory release-binaries BIN="$work/$copy/out/$arch" VERSION=reproducible >/dev/null)
  done
  (cd "$work/$copy/out" && find . -type f | LC_ALL=C sort | xargs sha256sum) >"$work/$copy/sums"
done
if ! diff "$work/one/sums" "$work/two/sums"; then
  echo "reproducible: the two builds differ" >&2
  exit 1
fi
cat "$work/one/sums"
echo "reproducible: both builds are the same, byte for byte"
