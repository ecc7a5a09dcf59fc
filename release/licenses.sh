#!/usr/bin/env bash
# Prints the licences of everything that is linked into the plugins and the carrier's program.
set -euo pipefail
cd "$(dirname "$0")/.."
go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/moesif ./cmd/keyauth ./cmd/datakit ./docker/install |
  LC_ALL=C sort -u | while read -r path version dir; do
  found=
  for file in "$dir"/LICENSE* "$dir"/LICENCE* "$dir"/COPYING* "$dir"/NOTICE*; do
    [ -f "$file" ] || continue
    found=yes
    printf '\n==== %s %s: %s\n\n' "$path" "$version" "$(basename "$file")"
    cat "$file"
  done
  [ -n "$found" ] || { echo "licenses: $path $version has no licence file; replace the module" >&2; exit 1; }
done
printf '\n==== Go %s: LICENSE\n\n' "$(go env GOVERSION)"
cat "$(go env GOROOT)/LICENSE"
