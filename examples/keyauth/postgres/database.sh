# shellcheck shell=bash
# A PostgreSQL of the example's own, in a folder of /tmp, that listens on no network. It ends with the script.
database=/tmp/keyauth-example-postgres
tables=$PWD/examples/keyauth/postgres/tables.sql
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1)
[ -x "$bin/initdb" ] || { echo "there is no PostgreSQL; it comes with: apt-get install postgresql"; exit 1; }
exec 8>"$database.lock" && flock -w 240 8 # one at a time on a machine

as_postgres() { if [ "$(id -u)" = 0 ]; then (cd /tmp && setpriv --reuid postgres --regid postgres --init-groups "$@"); else "$@"; fi; }
sql() { as_postgres "$bin/psql" -h "$database" -d kong -qtA -c "$1" 8>&-; }
stop_database() { as_postgres "$bin/pg_ctl" -D "$database/data" stop -m fast 8>&- >/dev/null 2>&1 || true; }
start_database() {
  as_postgres "$bin/pg_ctl" -D "$database/data" -w -l "$database/log" -o "-k $database -c listen_addresses= -c fsync=off" start 8>&- >/dev/null
}

stop_database # of a run that was killed
rm -rf "$database"
trap 'stop_database; rm -rf "$database"' EXIT
as_postgres mkdir "$database"
as_postgres "$bin/initdb" -D "$database/data" -A trust -E UTF8 --locale=C --no-sync 8>&- >/dev/null
start_database
as_postgres "$bin/createdb" -h "$database" kong 8>&-
as_postgres "$bin/psql" -h "$database" -d kong -q -v ON_ERROR_STOP=1 8>&- <"$tables"
