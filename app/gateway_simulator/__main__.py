"""Start the gateway: ``python -m gateway_simulator``. Exits with 2 if the settings are invalid."""

import logging
import logging.config
import os
import socket
import sqlite3
import sys
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.http.errors import InvalidHeader, UnsupportedTransferCoding
from gunicorn.workers.gthread import ThreadWorker

from gateway_simulator import logs, settings
from gateway_simulator.app import HEADERS, create_app
from gateway_simulator.ledger import Ledger

THREADS = 32


class Worker(ThreadWorker):  # type: ignore[misc] # its base has no types
    """gunicorn's worker with threads; it answers no client's mistake with a 5xx."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that gunicorn cannot read."""
        if isinstance(exc, UnsupportedTransferCoding):
            exc = InvalidHeader("TRANSFER-ENCODING")  # 400 in place of 501
        super().handle_error(req, _WithHeaders(client), addr, exc)


class _WithHeaders:
    """A client's socket that adds the common headers to the one response sent through it."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def sendall(self, response: bytes) -> None:
        """Send the response with the headers after its first line."""
        status, end, rest = response.partition(b"\r\n")
        headers = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        self._client.sendall(status + end + headers.encode() + rest)


class Server(BaseApplication):  # type: ignore[misc] # its base has no types
    """gunicorn with one worker process, because the fault knobs are kept in memory."""

    def __init__(self, chosen: settings.Settings) -> None:
        self._chosen = chosen
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's options. Its command line and configuration files are not read."""
        options: dict[str, Any] = {
            "bind": self._chosen.address,
            "worker_class": Worker,
            "workers": 1,
            "threads": THREADS,
            "keepalive": 75,  # longer than clients keep idle connections
            "graceful_timeout": 5,  # seconds; do not wait for injected delays
            "logconfig_dict": logs.config(self._chosen),
            "control_socket_disable": True,
            "when_ready": _ready,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Create the application in the worker: database connections must not be forked."""
        return create_app(self._chosen)


def main() -> None:
    """Read the settings, create the ledger and the log folder, and serve until stopped."""
    try:
        chosen = settings.read(os.environ)
        chosen.log_dir.mkdir(parents=True, exist_ok=True)
        torn = logs.end_torn_line(chosen.log_dir / logs.FILE_NAME)
        logging.config.dictConfig(logs.config(chosen))
        if torn:
            logs.event("gateway.log_torn_line", logging.WARNING)
        ledger = Ledger(chosen.ledger)
        ledger.create()
        ledger.close()
    except settings.SettingsError as error:
        _exit_with(str(error))
    except sqlite3.Error as error:
        _exit_with(f"GATEWAY_LEDGER: {chosen.ledger} cannot be used as the ledger: {error}.")
    except (OSError, ValueError) as error:
        _exit_with(f"GATEWAY_LEDGER or LOG_DIR cannot be written: {error}.")
    for name in chosen.exposed_defaults():
        logs.event("gateway.default_secret", logging.WARNING, variable=name, host=chosen.host)
    Server(chosen).run()


def _ready(arbiter: Any) -> None:
    host, port = arbiter.LISTENERS[0].sock.getsockname()[:2]
    logs.event("gateway.ready", host=host, port=port)


def _exit_with(reason: str) -> None:
    sys.stderr.write(f"gateway_simulator: {reason}\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
