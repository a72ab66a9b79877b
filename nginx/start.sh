#!/bin/sh
# Run nginx, and rotate its log: the collector reads /logs/proxy.log, and nothing else limits its size.
set -eu
log=/logs/proxy.log
most=20000000 # bytes, twice: the file and the one before it

rotate() {
    while sleep 10; do
        if [ "$(stat -c %s "$log" 2>/dev/null || echo 0)" -gt "$most" ]; then
            mv "$log" "$log.1"
            kill -USR1 1 # nginx opens a new one
        fi
    done
}

rotate &
exec nginx -e stderr -c /etc/nginx/nginx.conf
