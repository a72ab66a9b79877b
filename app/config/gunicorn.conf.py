"""gunicorn's configuration file; names are gunicorn's settings."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gunicorn.glogging import Logger

from config import env
from config.processes import limit_database_waits, use_metric_files

limit_database_waits("web")
workers = env.integer("WEB_CONCURRENCY", 1, least=1)
if workers > 1:
    use_metric_files("web")  # before importing the settings, which import prometheus_client

from config.settings import CACHE_URL, LOGGING


class LoggerWithoutAccess(Logger):  # type: ignore[misc]  # it has no types
    """Writes no access log: the shop logs requests itself."""

    def access(self, *_request: Any) -> None:
        """Do nothing."""


logger_class = LoggerWithoutAccess
bind = f"{env.text('HOST', '127.0.0.1')}:{env.integer('PORT', 8000, least=1)}"
threads = env.integer("WEB_THREADS", 8, least=1)
worker_class = "config.server.ProbeWorker"
# Longer than the slowest request: a gateway call with a retry takes at most 9 s.
timeout = 30
# TERM, INT and QUIT stop web, even sent to its whole process group; HUP renews its processes.
graceful_timeout = 20
keepalive = 5
# A heartbeat file on disk can block a worker.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
logconfig_dict = {**LOGGING, "disable_existing_loggers": False}
control_socket_disable = True
forwarded_allow_ips = ""  # the shop itself knows which proxies to believe (TRUSTED_PROXIES)


def on_starting(server: Any) -> None:
    """Warn if several processes would throttle separately."""
    if workers > 1 and not CACHE_URL:
        server.log.warning(
            "CACHE_URL is not set: each of the %s processes counts throttled requests separately.",
            workers,
        )
