#!/bin/sh
# Install programs that tests use and pip cannot install: promtool (Prometheus), amtool (Alertmanager),
# the blackbox exporter, nginx, a cache server and Chromium. Runs only as root on Debian (on Ubuntu: without
# Chromium); otherwise does nothing, and the tests report what they left out. Never fails.
set -u

packages=
command -v promtool >/dev/null || packages=prometheus
command -v amtool >/dev/null || packages="$packages prometheus-alertmanager"
command -v prometheus-blackbox-exporter >/dev/null || command -v blackbox_exporter >/dev/null ||
    packages="$packages prometheus-blackbox-exporter"
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || packages="$packages nginx"
command -v valkey-server >/dev/null || command -v redis-server >/dev/null ||
    packages="$packages redis-server"

has_browser() {
    for browser in chromium chromium-browser google-chrome google-chrome-stable; do
        if command -v "$browser" >/dev/null; then return 0; fi
    done
    # Installed by Playwright.
    for folder in "${PLAYWRIGHT_BROWSERS_PATH:-${HOME:-}/.cache/ms-playwright}"/chromium-*; do
        if [ -d "$folder" ]; then return 0; fi
    done
    return 1
}
# Other systems have no package, or one that needs snap, which containers cannot install.
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

# The packages would start services; exit status 101 of policy-rc.d prevents that.
if [ ! -e "$policy" ] && printf '#!/bin/sh\nexit 101\n' >"$policy"; then
    made_policy=yes
    chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update >"$log" 2>&1 || echo "apt-get update failed: $(grep '^E:' "$log" | head -n 1)"
for package in $packages; do
    echo "Installing $package for the tests"
    if ! apt-get install -y --no-install-recommends "$package" >"$log" 2>&1; then
        echo "Could not install $package: $(grep '^E:' "$log" | head -n 1)"
    fi
done
exit 0
