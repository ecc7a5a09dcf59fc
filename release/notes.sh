#!/usr/bin/env bash
# notes.sh vX.Y.Z prints what the changelogs say of that release: first what is common, then each plugin.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:?usage: notes.sh vX.Y.Z}
version=${version#v}
for file in CHANGELOG.md changelog/moesif.md changelog/keyauth.md changelog/datakit.md; do
  section=$(awk -v "head=## [$version]" '/^## /{on = index($0, head) == 1; next} on' "$file")
  [ -n "$section" ] || { echo "notes: $file has no section [$version]" >&2; exit 1; }
  case $file in changelog/*) printf '\n## %s\n' "$(basename "$file" .md)" ;; esac
  printf '%s\n' "$section"
done
