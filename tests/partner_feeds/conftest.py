"""Fixtures: a partner that delivers CSV, and servers that files are fetched from."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from tests.certificates import authority, certificate, trust
from tests.partner_feeds.servers import HOST, OTHER, PUBLIC, Network, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from partner_feeds.models import Partner


@pytest.fixture
def partner() -> Partner:
    from tests.partner_feeds.taking_in import make_partner  # noqa: PLC0415 - Django comes first

    return make_partner()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network({HOST: [PUBLIC], OTHER: ["1.1.1.1"]})
    monkeypatch.setattr("partner_feeds.addresses.look_up", network.look_up)
    monkeypatch.setattr("retail.calls.socket.create_connection", network.connect)
    return network


@pytest.fixture
def server(network: Network) -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ours", "others"):
        authority(folder, name)
    certificate(folder, "ours", HOST)
    return folder


@pytest.fixture
def secure(
    network: Network, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """Return a server with TLS, whose authority is trusted."""
    trust(certificates / "ours.pem", monkeypatch)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    server = Server(tls)
    yield server
    server.close()
