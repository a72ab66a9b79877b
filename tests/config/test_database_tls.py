"""A database on another machine: DATABASE_URL with sslmode=verify-full (docs/going-live.md)."""

from __future__ import annotations

import os
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.certificates import authority, certificate
from tests.config.compose import ROOT
from tools import with_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ASKS_FOR_TLS = bytes.fromhex("00000008 04d2162f")
ASK = """
import django
django.setup()
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT 1")
print(connection.connection.info.ssl_in_use)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two authorities, and a certificate that `ours` has signed."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ours", "others"):
        authority(folder, name)
    certificate(folder, "ours", "localhost")
    return folder


class End(socketserver.BaseRequestHandler):
    """Encrypts the way to PostgreSQL: the server of the test suite is built without TLS."""

    tls: ssl.SSLContext
    port: int

    def handle(self) -> None:
        """Accept the client's request for TLS, and pass everything on."""
        if self.request.recv(8) != ASKS_FOR_TLS:
            return
        self.request.sendall(b"S")
        with (
            suppress(OSError),
            self.tls.wrap_socket(self.request, server_side=True) as client,
            socket.create_connection(("127.0.0.1", self.port)) as server,
        ):
            answers = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            answers.start()
            _pass_on(client, server)
            server.shutdown(socket.SHUT_WR)
            answers.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """Yield the address of a server that takes no connection without TLS."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "server.crt", folder / "server.key")
    with with_postgres.postgres(fsync=False) as postgres:
        handler = type("Handler", (End,), {"tls": tls, "port": postgres.port})
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield postgres.url.replace(f":{postgres.port}/", f":{server.server_address[1]}/")
            server.shutdown()


def ask(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Let the shop ask the database whether their connection is encrypted."""
    folders = {"VAR_DIR": str(folder / "var"), "LOG_DIR": str(folder / "logs")}
    given = {"DJANGO_SETTINGS_MODULE": "config.settings", "DEBUG": "True", "DATABASE_URL": url}
    return subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=ROOT / "app",
        env={"PATH": os.environ["PATH"], **folders, **given},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("host", "authority", "answer"),
    [
        ("localhost", "ours", ""),
        ("localhost", "others", "certificate verify failed"),
        ("127.0.0.1", "ours", 'does not match host name "127.0.0.1"'),
        ("localhost", "missing", "does not exist"),
    ],
)
def test_only_the_server_of_the_known_authority_is_talked_to(
    url: str, folder: Path, host: str, authority: str, answer: str
) -> None:
    url = url.replace("127.0.0.1", host)
    done = ask(f"{url}?sslmode=verify-full&sslrootcert={folder / authority}.pem", folder)
    assert (done.returncode == 0, done.stdout) == (not answer, "" if answer else "True\n")
    assert answer in done.stderr
