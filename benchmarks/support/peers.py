"""What the shop is measured beside, in a Python environment of its own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.support import books, server
from benchmarks.support.server import ROOT, Serving

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.support.buyers import Wanted

_ENVIRONMENT = ROOT / ".venv-peers"
_PYTHON = _ENVIRONMENT / "bin" / "python"
_REQUIREMENTS = ROOT / "benchmarks" / "peers" / "requirements.txt"
_IMPORT_EXPORT = ROOT / "benchmarks" / "peers" / "import_export"
_OSCAR = ROOT / "benchmarks" / "peers" / "oscar"


def install() -> None:
    """Make the peers' Python environment, unless it is there and as the requirements want it."""
    done = _ENVIRONMENT / "installed.txt"
    if done.exists() and done.read_bytes() == _REQUIREMENTS.read_bytes():
        return
    print("Installing benchmarks/peers/requirements.txt into .venv-peers", flush=True)
    pip = [str(_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "venv", str(_ENVIRONMENT)], check=True)
    subprocess.run([*pip, "--require-hashes", "--requirement", str(_REQUIREMENTS)], check=True)
    done.write_bytes(_REQUIREMENTS.read_bytes())


def import_export(file: Path, database_url: str, category: int) -> float:
    """Return the seconds that django-import-export takes for a CSV file (table `feed_copy`)."""
    install()
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url,
        "CATEGORY": str(category),
    }
    said = server.call([str(_PYTHON), "importing.py", str(file)], environment, _IMPORT_EXPORT)
    return float(said)


@dataclass(frozen=True)
class OscarBuyers:
    """Customers of django-oscar; `requests` has their orders of one piece of `product`."""

    product: int
    requests: list[bytes]


class Oscar:
    """A django-oscar shop with an empty database."""

    def __init__(self, folder: Path, database_url: str) -> None:
        install()
        self.folder = folder
        self.database_url = database_url
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{_OSCAR}:{ROOT}",
            "DJANGO_SETTINGS_MODULE": "settings",
            "DATABASE_URL": database_url,
            "SECRET_KEY": secrets.token_urlsafe(50),
        }
        self._run("-m", "django", "migrate", "--noinput")

    def _run(self, *arguments: str) -> str:
        return server.call([str(_PYTHON), *arguments], self.environment, _OSCAR)

    def buyers(self, wanted: Sequence[Wanted]) -> dict[str, OscarBuyers]:
        """Make sets of buyers and return them by their names."""
        asked = [{"name": one.name, "buyers": one.buyers, "stock": one.stock} for one in wanted]
        said = self._run("buyers.py", json.dumps(asked))
        answers: list[dict[str, Any]] = json.loads(said.splitlines()[-1])
        return {
            one.name: OscarBuyers(made["product"], [text.encode() for text in made["requests"]])
            for one, made in zip(wanted, answers, strict=True)
        }

    def serve(self, *, workers: int, threads: int) -> Serving:
        """Serve it with gunicorn; the context is its port."""
        port = server.free_port()
        command = server.gunicorn(_PYTHON, "wsgi", port, workers=workers, threads=threads)
        return server.serve(command, self.environment, _OSCAR, self.folder, port)

    def sold(self, product: int) -> int:
        """Return how many pieces of the product have been ordered."""
        [(pieces,)] = books.rows(
            self.database_url,
            "SELECT coalesce(sum(quantity), 0) FROM order_line WHERE product_id = %s",
            product,
        )
        return int(pieces)
