#!/usr/bin/env bash
# Runs the plugins in a real gateway by compose.yml and compose.mount.yml: one request per plugin, again after `kong reload`,
# again after kill -9 of the plugins. Wants Docker with compose and curl; KONG_IMAGE says which gateway.
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

for COMPOSE in docker/compose.yml docker/compose.mount.yml; do
  export COMPOSE
  dc() { docker compose -f "$COMPOSE" "$@"; }
  trap 'status=$?; if [ $status != 0 ]; then dc logs --tail 100; fi; dc down --volumes --timeout 5; exit $status' EXIT
  echo "== $COMPOSE with $KONG_IMAGE"
  dc up --build --wait --wait-timeout 180
  docker/requests.sh

  echo "== after kong reload"
  dc exec -T kong kong reload
  dc up --wait --wait-timeout 60
  docker/requests.sh

  # The processes are found by their command in /proc: the image need not have ps.
  echo "== after kill -9 of every plugin process"
  dc exec -T kong sh -c 'for d in /proc/[0-9]*; do
    case $(tr "\0" " " <"$d/cmdline" 2>/dev/null) in
    /usr/local/bin/moesif* | /usr/local/bin/keyauth* | /usr/local/bin/datakit* | /opt/kong-go/*) kill -9 "${d#/proc/}" ;;
    esac
  done; true'
  for _ in $(seq 50); do
    if docker/requests.sh >/dev/null 2>&1; then break; fi
    sleep 0.2
  done
  docker/requests.sh
  dc down --volumes --timeout 5
  trap - EXIT
done
echo "e2e: passed with $KONG_IMAGE"
