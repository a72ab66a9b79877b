"""Whose request it is: nobody but a trusted proxy can make it look like another client's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.test import RequestFactory

from retail.web.client import (
    client_address,
    client_key,
    ignore_forged,
    seconds_since_arrival,
)

if TYPE_CHECKING:
    from pytest_django import Settings

PEER, CLIENT = "10.0.0.1", "198.51.100.7"
NETWORKS = ("10.0.0.0/8", "fd00::/8")


def asked_by(forwarded: str | None, peer: str = PEER) -> str:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return client_address(RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer))


@pytest.mark.parametrize("forwarded", [None, CLIENT, "junk", f"{CLIENT}, {PEER}"])
def test_without_proxies_forwarded_addresses_are_ignored(
    settings: Settings, forwarded: str | None
) -> None:
    for settings.TRUSTED_PROXIES in (0, ()):
        assert asked_by(forwarded) == PEER


@pytest.mark.parametrize("trusted", [1, NETWORKS])
@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (CLIENT, CLIENT),
        (f"{CLIENT}:50123", CLIENT),
        (f" {CLIENT}\t", CLIENT),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:DB8:0::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        (f"::ffff:{CLIENT}", CLIENT),
        # What strangers have sent comes first.
        (f"203.0.113.1, {CLIENT}", CLIENT),
        (f"junk,,[,{PEER},{CLIENT}", CLIENT),
        (f"{PEER},203.0.113.1,{CLIENT}", CLIENT),
        # A proxy that names nobody.
        (None, PEER),
        ("", PEER),
        (f"{CLIENT},", PEER),
        (f"{CLIENT}, unknown", PEER),
        (f"{CLIENT}, 999.1.1.1", PEER),
        (f"{CLIENT}, 1.2.3.4:x", PEER),
        (f"{CLIENT}, 1.2.3.4:\xb2", PEER),
        (f"{CLIENT}, [::1", PEER),
        (f"{CLIENT}, [::1]80", PEER),
        (f"{CLIENT}, 0x7f000001", PEER),
        ("x" * 8000, PEER),
        ("," * 8000, PEER),
    ],
)
def test_a_trusted_proxy_names_the_client(
    settings: Settings, trusted: int | tuple[str, ...], forwarded: str | None, client: str
) -> None:
    settings.TRUSTED_PROXIES = trusted
    assert asked_by(forwarded) == client


@pytest.mark.parametrize("trusted", [2, NETWORKS])
@pytest.mark.parametrize("forged", ["", "203.0.113.1,", "203.0.113.1,10.0.0.3,"])
def test_the_client_of_two_proxies_is_before_the_first(
    settings: Settings, trusted: int | tuple[str, ...], forged: str
) -> None:
    settings.TRUSTED_PROXIES = trusted
    assert asked_by(f"{forged}{CLIENT}, 10.0.0.2") == CLIENT


def test_fewer_hops_than_proxies_name_nobody(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 2
    assert asked_by("203.0.113.1") == PEER


def test_a_request_past_the_proxies_names_nobody(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = NETWORKS
    assert asked_by("203.0.113.1", peer=CLIENT) == CLIENT
    assert asked_by("203.0.113.1", peer="::ffff:10.0.0.1") == "203.0.113.1"
    assert asked_by("203.0.113.1", peer="") == ""


def test_a_proxy_behind_a_unix_socket_is_a_number_of_proxies(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    assert asked_by(CLIENT, peer="") == CLIENT
    assert asked_by(None, peer="") == ""


@pytest.mark.parametrize(
    ("peer", "key"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("", ""),
    ],
)
def test_limits_count_ipv6_clients_by_their_network(peer: str, key: str) -> None:
    assert client_key(RequestFactory().get("/", REMOTE_ADDR=peer)) == key


def test_only_a_trusted_proxy_says_that_a_request_came_over_https(
    settings: Settings,
) -> None:
    settings.TRUSTED_PROXIES = NETWORKS
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    for peer, secure in ((PEER, True), (CLIENT, False)):
        headers = {"X-Forwarded-Proto": "https"}
        request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer)
        ignore_forged(request)
        assert request.is_secure() is secure


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("t=1700000000.000", 1.5),
        ("t=1699999942.000", 59.5),
        ("t=1699999941.500", 0),  # a minute: nobody waits longer
        (None, 0),
        ("", 0),
        ("t=1700000001.600", 0),  # the proxy's clock is ahead
        ("t=1699999900.000", 0),  # or behind
        ("1700000000.000", 0),
        ("t=1700000000.000, t=1700000000.000", 0),
        ("t=170000000\u0660.000", 0),
        ("t=nan", 0),
        ("t=1e9", 0),
    ],
)
def test_a_trusted_proxy_says_when_a_request_arrived(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, stamp: str | None, seconds: float
) -> None:
    monkeypatch.setattr("retail.web.client.time.time", lambda: 1_700_000_001.5)
    headers = {} if stamp is None else {"X-Request-Start": stamp}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=PEER)
    assert seconds_since_arrival(request) == 0
    settings.TRUSTED_PROXIES = NETWORKS
    assert seconds_since_arrival(request) == seconds
