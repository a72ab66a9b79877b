"""nginx with the configuration of docker-compose.yml, in front of a server of a test."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.running.support import PATIENCE, ROOT, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.left_out import LeaveOut

FOLDER = ROOT / "nginx"
# nginx started by root would give its work to a user who may not read the test's folder.
AS_ROOT = ["-g", "user root;"] if os.geteuid() == 0 else []


class Proxy(NamedTuple):
    """A running nginx."""

    port: int
    balancers_port: int
    tls_port: int
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Return its address for visitors."""
        return f"http://127.0.0.1:{self.port}"

    def lines(self, count: int) -> list[dict[str, Any]]:
        """Return the lines of its log, once there are so many."""

        def written() -> list[str]:
            lines = self.log.read_text("utf-8").splitlines()
            return lines if len(lines) >= count else []

        return [json.loads(line) for line in wait_until(written, f"{count} lines")]


def nginx_program(left_out: LeaveOut) -> str:
    """Return the path of nginx. Debian does not install it where everybody looks."""
    path = os.pathsep.join((os.environ["PATH"], "/usr/sbin"))
    return shutil.which("nginx", path=path) or left_out(
        "nginx",
        "the proxy is not tested with nginx itself",
        "sudo apt-get install --no-install-recommends nginx",
    )


def _configure(
    folder: Path,
    shop: str,
    ports: tuple[int, int, int],
    options: tuple[str, ...],
    more: dict[str, str],
) -> None:
    """Write the configuration, with addresses and folders of a test."""
    for name in ("options", "logs", "tmp", "certificates"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    visitors, balancers, tls = ports
    changes = {
        **more,
        "web:8000": shop,
        "listen 8080 ": f"listen 127.0.0.1:{visitors} ",
        "listen 8081 ": f"listen 127.0.0.1:{balancers} ",
        "listen 8443 ": f"listen 127.0.0.1:{tls} ",
        "/tmp/": f"{folder}/tmp/",
        "/logs/": f"{folder}/logs/",
        "/dev/stdout": f"{folder}/stdout",
    }
    for source in (FOLDER / "nginx.conf", FOLDER / "shop.conf", *(FOLDER / it for it in options)):
        text = source.read_text("utf-8")
        for old, new in changes.items():
            text = text.replace(old, new)
        kept = folder / "options" / source.name if source.name in options else folder / source.name
        kept.write_text(text, encoding="utf-8")


@contextmanager
def running_proxy(
    nginx: str,
    folder: Path,
    shop: str,
    *,
    options: tuple[str, ...] = (),
    changes: dict[str, str] | None = None,
) -> Iterator[Proxy]:
    """Run nginx in front of `shop`, which is host:port, with more files and texts to replace."""
    ports = free_port(), free_port(), free_port()
    _configure(folder, shop, ports, options, changes or {})
    with (folder / "stderr").open("ab") as stderr:
        process = subprocess.Popen(
            [nginx, *AS_ROOT, "-e", "stderr", "-c", str(folder / "nginx.conf")], stderr=stderr
        )
    try:
        wait_until(lambda: _listens(ports[0]) or process.poll(), "nginx")
        assert process.poll() is None, (folder / "stderr").read_text("utf-8")
        yield Proxy(*ports, log=folder / "logs/proxy.log", process=process)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
