#!/bin/sh
# Make sure of the programs that tests use and pip cannot install: promtool, from Prometheus.
# Installs it where that is possible without asking (root on Debian or Ubuntu) and otherwise leaves
# things as they are; the tests then say what they left out. Never fails.
set -u

if command -v promtool >/dev/null; then
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    exit 0
fi

echo "Installing promtool (package prometheus)"
log=$(mktemp) || exit 0
policy=/usr/sbin/policy-rc.d
made_policy=
clean_up() {
    rm -f "$log"
    if [ -n "$made_policy" ]; then rm -f "$policy"; fi
}
trap clean_up EXIT
trap 'exit 0' INT TERM HUP

# The package starts a service; 101 is Debian's way of saying that it may not.
if [ ! -e "$policy" ] && printf '#!/bin/sh\nexit 101\n' >"$policy"; then
    made_policy=yes
    chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update && apt-get install -y --no-install-recommends prometheus; } >"$log" 2>&1; then
    echo "promtool could not be installed: $(grep '^E:' "$log" | head -n 1)"
fi
exit 0
