#!/usr/bin/env bash
# Builds the release's binaries for each processor of ARCHES, and once more for those of TWICE from another folder, with an
# empty cache; compares the bytes. The second build takes a minute of two processors for each; releases make all of them.
set -euo pipefail
cd "$(dirname "$0")/.."
arches=${ARCHES:-amd64 arm64}
twice=${TWICE:-amd64}
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

mkdir -p "$work/one/source" "$work/two"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done |
  tar --null -T - -cf - | tar -xf - -C "$work/one/source"
cp -r "$work/one/source" "$work/two/a folder with another name"

# build COPY ARCH builds one of the copies.
build() {
  (cd "$work/$1"/*/ && GOOS=linux GOARCH=$2 make --no-print-directory release-binaries BIN="$work/out/$1/$2" VERSION=reproducible >/dev/null)
}
# sums COPY ARCH...
sums() {
  (cd "$work/out/$1" && find "${@:2}" -type f | LC_ALL=C sort | xargs sha256sum)
}

for arch in $arches; do build one "$arch"; done
if grep -rla 'ld-linux' "$work/out/one"; then
  echo "reproducible: these are not static: they name a dynamic loader" >&2
  exit 1
fi
own=$work/out/one/$(go env GOARCH)/plugins
if [ -d "$own" ]; then
  for plugin in "$own"/*; do
    "$plugin" -version | grep -E "^$(basename "$plugin") [0-9]+\.[0-9]+\.[0-9]+ \(build reproducible, " || { echo "reproducible: $plugin has another version" >&2; exit 1; }
  done
fi
for arch in $twice; do GOCACHE=$work/cache build two "$arch"; done
# shellcheck disable=SC2086 # lists of words
{ sums one $arches; sums one $twice >"$work/first"; sums two $twice >"$work/second"; }
if ! diff "$work/first" "$work/second"; then
  echo "reproducible: the two builds differ" >&2
  exit 1
fi
echo "reproducible: both builds for ${twice// / and } are the same, byte for byte"
