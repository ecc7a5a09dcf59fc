#!/usr/bin/env bash
# Runs the plugins in a real gateway by compose.yml and compose.mount.yml: one request per plugin, again after `kong reload`,
# again after kill -9 of the plugins. Wants Docker with compose and curl; KONG_IMAGE says which gateway. From 3.11 on
# Enterprise has a datakit of its own, so that ours is datakit-go; such a gateway may want a license: KONG_LICENSE_DATA.
set -euo pipefail
cd "$(dirname "$0")/.."
export KONG_IMAGE=${KONG_IMAGE:-kong:3.9}
if ! docker compose version >/dev/null 2>&1; then
  echo "e2e: there is no docker compose on this machine, so nothing was run; install Docker Engine with the compose plugin" >&2
  exit 1
fi
if ! docker info >/dev/null 2>&1; then
  echo "e2e: the Docker daemon does not answer, so nothing was run; start it, or give your user the right to use it" >&2
  exit 1
fi
[ -n "${KONG_LICENSE_DATA:-}" ] || unset KONG_LICENSE_DATA # an empty one would be a broken license
version=$(docker run --rm "$KONG_IMAGE" kong version)
if [[ $version =~ Enterprise\ 3\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge 11 ]; then
  export DATAKIT=datakit-go KONG_YML=kong-datakit-go.yml
fi

dc() { docker compose -f "$COMPOSE" "$@"; }
finish() {
  [ "$1" = 0 ] || dc logs --tail 100
  dc down --volumes --timeout 5
  exit "$1"
}

for COMPOSE in docker/compose.yml docker/compose.mount.yml; do
  export COMPOSE
  trap 'finish $?' EXIT
  echo "== $COMPOSE with $KONG_IMAGE, $version"
  dc up --build --wait --wait-timeout 180
  docker/requests.sh

  echo "== after kong reload"
  dc exec -T kong kong reload
  dc up --wait --wait-timeout 60
  docker/requests.sh

  # The processes are found by their program in /proc: the image need not have ps.
  echo "== after kill -9 of every plugin process"
  # shellcheck disable=SC2016 # is for the container's shell
  dc exec -T kong sh -c 'killed=0
    for d in /proc/[0-9]*; do
      case $(readlink "$d/exe") in
      */moesif | */keyauth | */datakit | */datakit-go) kill -9 "${d#/proc/}" && killed=$((killed + 1)) ;;
      esac
    done
    echo "$killed processes"
    [ "$killed" -ge 3 ]'
  for _ in $(seq 50); do
    if docker/requests.sh >/dev/null 2>&1; then break; fi
    sleep 0.2
  done
  docker/requests.sh
  dc down --volumes --timeout 5
  trap - EXIT
done
echo "e2e: passed with $KONG_IMAGE"
