#!/bin/sh
# Backups, for `make`: backup.sh backup | restore FILE [--replace] | restore-test [FILE]
#
# If the containers run, pg_dump and pg_restore run in `db`, so that they are the server's version, and
# the shop's part in a container of the service `backup`. Otherwise the shop of `make run` is meant.
set -eu
cd "$(dirname "$0")/.."
complete='\nvitrine: the dump is complete\n'

fail() {
    echo "$1" >&2
    exit 1
}

# The shop's part, with the folder of FILE, as the user who calls this: its files are this user's.
shop() {
    docker compose run --rm --no-deps -T --user "$(id -u):$(id -g)" ${mounted:+--volume "$mounted:/restore:ro"} \
        backup python manage.py "$@"
}

in_db() {
    docker compose exec -T db sh -c "$1"
}

newest() {
    find "$folder" -name 'vitrine-*.json' | sort | tail -n 1 | sed 's/\.json$//'
}

backup() {
    mkdir -p -m 700 "$folder"
    mkfifo "$pipes/dump" "$pipes/snapshot"
    exec 4<>"$pipes/dump" # until both ends are open
    (
        exec <"$pipes/dump" >"$pipes/snapshot" 4>&-
        shop backup --piped
    ) &
    made=$!
    exec 5<"$pipes/snapshot" # open to the end: docker may write after the line that is read
    read -r snapshot <&5 || snapshot=
    exec 3>"$pipes/dump" 4>&-
    if [ -n "$snapshot" ]; then
        {
            in_db "pg_dump --username \"\$POSTGRES_USER\" --dbname \"\$POSTGRES_DB\" --format=custom \
                --lock-wait-timeout=10s --snapshot='$snapshot'" </dev/null 3>&- 5<&- && printf "$complete"
        } >&3 || true # without its last line, the shop refuses it
    fi
    exec 3>&-
    wait "$made"
}

# Everything in one transaction.
pg_restore_into() {
    in_db "PGOPTIONS='-c lock_timeout=10s' pg_restore --username \"\$POSTGRES_USER\" --dbname \"$1\" \
        --clean --if-exists --single-transaction --exit-on-error --no-comments"
}

restore() {
    started=$(date +%s)
    # A backup that the shop refuses ends before it is whole, and pg_restore then changes nothing.
    shop restore "$dump" --piped "$@" | pg_restore_into '$POSTGRES_DB' || fail "Nothing was restored."
    shop restore "$dump" --verify
    shop restore "$dump" --took "$(($(date +%s) - started))"
}

restore_test() {
    name="restore_test_$$"
    started=$(date +%s)
    in_db "createdb --username \"\$POSTGRES_USER\" $name" </dev/null
    trap 'in_db "dropdb --username \"\$POSTGRES_USER\" --force $name" </dev/null; rm -rf "$pipes"' EXIT
    shop restore "$dump" --piped --database "$name" | pg_restore_into "$name" || fail "Nothing was restored."
    shop restore "$dump" --verify --database "$name"
    seconds=$(($(date +%s) - started))
    shop restore "$dump" --took "$seconds"
    echo "Restored and audited in $seconds s, and deleted again." >&2
}

what=$1
shift
folder=${BACKUP_DIR:-}
file=${1:-}
[ -z "$file" ] || [ -f "$file" ] || fail "There is no file $file."

if ! docker compose ps --status running --services 2>/dev/null | grep -qx db; then
    folder=${folder:-var/backups}
    ${MAKE:-make} --no-print-directory --silent .venv/.runtime
    [ "$what" != restore-test ] || set -- "${file:-$(newest)}" --into-scratch
    exec env -u DATABASE_URL DEBUG=True .venv/bin/python app/manage.py "${what%-test}" "$@"
fi

[ -n "$folder" ] || folder=$(sed -n 's/^BACKUP_DIR=//p' "${COMPOSE_ENV_FILES:-.env}" 2>/dev/null | tail -n 1)
folder=${folder:-backups}
pipes=$(mktemp -d)
trap 'rm -rf "$pipes"' EXIT
if [ "$what" = backup ]; then
    backup
    exit
fi
file=${file:-$(newest)}
[ -n "$file" ] || fail "There is no backup in $folder."
mounted=$(cd "$(dirname "$file")" && pwd)
dump=/restore/$(basename "$file")
[ "$#" = 0 ] || shift
if [ "$what" = restore ]; then restore "$@"; else restore_test; fi
