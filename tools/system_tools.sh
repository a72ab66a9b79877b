#!/bin/sh
# Make sure of the programs that tests use and pip cannot install: promtool, from Prometheus, amtool,
# from Alertmanager, and the browser Chromium. Installs them where that is possible without asking
# (root on Debian; promtool and amtool on Ubuntu too) and otherwise leaves things as they are; the
# tests then say what they left out. Never fails.
set -u

packages=
command -v promtool >/dev/null || packages=prometheus
command -v amtool >/dev/null || packages="$packages prometheus-alertmanager"

has_browser() {
    for browser in chromium chromium-browser google-chrome google-chrome-stable; do
        if command -v "$browser" >/dev/null; then return 0; fi
    done
    # Playwright's own, where somebody had it installed.
    for folder in "${PLAYWRIGHT_BROWSERS_PATH:-${HOME:-}/.cache/ms-playwright}"/chromium-*; do
        if [ -d "$folder" ]; then return 0; fi
    done
    return 1
}
# Elsewhere the package is missing or stands for a snap, which a container cannot install.
if ! has_browser && grep -qx 'ID=debian' /etc/os-release 2>/dev/null; then
    packages="$packages chromium"
fi

if [ -z "$packages" ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    exit 0
fi

log=$(mktemp) || exit 0
policy=/usr/sbin/policy-rc.d
made_policy=
clean_up() {
    rm -f "$log"
    if [ -n "$made_policy" ]; then rm -f "$policy"; fi
}
trap clean_up EXIT
trap 'exit 0' INT TERM HUP

# prometheus and its Alertmanager start services; 101 is Debian's way of saying that it may not.
if [ ! -e "$policy" ] && printf '#!/bin/sh\nexit 101\n' >"$policy"; then
    made_policy=yes
    chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update >"$log" 2>&1 || echo "apt-get update failed: $(grep '^E:' "$log" | head -n 1)"
for package in $packages; do
    echo "Installing $package, which tests use"
    if ! apt-get install -y --no-install-recommends "$package" >"$log" 2>&1; then
        echo "$package could not be installed: $(grep '^E:' "$log" | head -n 1)"
    fi
done
exit 0
