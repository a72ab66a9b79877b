"""Certificates for servers of tests, made by openssl."""

from __future__ import annotations

import ssl
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NEW = ("req", "-newkey", "rsa:2048", "-nodes")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def authority(folder: Path, name: str) -> Path:
    """Make a certificate authority; return its certificate."""
    subject = ("-x509", "-days", "2", "-subj", f"/CN={name}")
    _openssl(folder, *NEW, *subject, "-keyout", f"{name}.key", "-out", f"{name}.pem")
    return folder / f"{name}.pem"


def certificate(folder: Path, by: str, host: str) -> None:
    """Make server.key, and server.crt for a host, which an authority has signed."""
    _openssl(folder, *NEW, "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}",
             "-keyout", "server.key", "-out", "server.csr")  # fmt: skip
    _openssl(folder, "x509", "-req", "-in", "server.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key",
             "-days", "2", "-copy_extensions", "copy", "-out", "server.crt")  # fmt: skip


def trust(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the shop's calls believe only this authority."""
    context = ssl.create_default_context(cafile=str(authority))
    monkeypatch.setattr("retail.calls._tls", lambda: context)
