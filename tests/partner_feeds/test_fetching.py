"""Fetching a file: whom it asks, and what it sends them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as shop

from partner_feeds import addresses
from partner_feeds.addresses import is_public, shown_address
from partner_feeds.fetching import Fetched
from tests.certificates import trust
from tests.partner_feeds.asking import at, fetched, refused
from tests.partner_feeds.servers import (
    HOST,
    OTHER,
    PUBLIC,
    Network,
    Server,
    ok,
    redirect,
)
from tests.partner_feeds.taking_in import FILE

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings

    from partner_feeds.models import Partner

pytestmark = pytest.mark.django_db
MODIFIED = "Last-Modified: Fri, 27 Nov 2026 03:00:00 GMT"


@pytest.fixture
def partner(partner: Partner, server: Server) -> Partner:
    """Let its file be fetched from the server."""
    partner.address, partner.allow_http = at(server, "/a.csv"), True
    partner.save()
    return partner


FORBIDDEN = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255"),  # noqa: S104
    *("127.0.0.1", "127.255.0.1", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.0.1"),
    *("192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::ffff:0:127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::1"),
    *("2002:7f00:1::1", "2002:808:808::1", "2001:0:4136:e378::1", "2001:10::1", "2001:20::1"),
    *("2001:2::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1", "4000::1"),
]
ALLOWED = [
    *(PUBLIC, "8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1"),
    *("192.167.0.1", "223.255.255.254", "2606:4700::1111", "2a00:1450:4001::5", "2003::1"),
    "64:ff9b::8.8.8.8",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_an_address_that_is_not_public_is_never_asked(
    partner: Partner, network: Network, address: str
) -> None:
    network.hosts[HOST] = [PUBLIC, address]  # one is enough
    code, sentence = refused(partner)
    assert (code, network.connected) == ("private_address", [])
    assert sentence == f"{HOST} has the address {address}, which is not a public one."


@pytest.mark.parametrize("address", ALLOWED)
def test_a_public_address_may_be_asked(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "017700000001", "[::1]", "localhost"]
)
def test_no_way_to_write_this_machine_leads_to_it(
    partner: Partner, network: Network, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("retail.calls.socket.create_connection", network.connect)
    partner.address = f"http://{host}/a.csv"
    assert (refused(partner)[0], network.connected) == ("private_address", [])


def test_private_addresses_are_for_development(
    partner: Partner, settings: Settings, server: Server, network: Network
) -> None:
    assert shop.FEEDS_ALLOW_PRIVATE is False
    settings.FEEDS_ALLOW_PRIVATE = True
    network.hosts[HOST] = ["127.0.0.1"]
    server["/a.csv"] = ok(FILE)
    assert fetched(partner)[0] == FILE


def test_the_address_that_was_checked_is_asked_and_no_second_one(
    partner: Partner, server: Server, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name whose next look-up would lead to this machine."""
    answers = iter([[PUBLIC], ["127.0.0.1"]])

    def look_up(host: str, port: int) -> object:
        network.hosts[host] = next(answers)
        return network.look_up(host, port)

    monkeypatch.setattr(addresses, "look_up", look_up)
    server["/a.csv"] = ok(FILE)
    assert fetched(partner)[0] == FILE
    assert (network.looked_up, network.connected) == ([HOST], [(PUBLIC, server.port)])


def test_a_redirect_is_looked_up_and_checked_anew(
    partner: Partner, server: Server, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])

    def look_up(host: str, port: int) -> object:
        network.hosts[host] = next(answers)
        return network.look_up(host, port)

    monkeypatch.setattr(addresses, "look_up", look_up)
    server["/a.csv"] = redirect("/b.csv")
    assert refused(partner)[0] == "private_address"
    assert network.connected == [(PUBLIC, server.port)]


def test_the_next_address_is_asked_if_one_refuses(
    partner: Partner, server: Server, network: Network
) -> None:
    network.hosts[HOST], network.dead = ["9.9.9.9", PUBLIC], {"9.9.9.9"}
    server["/a.csv"] = ok(FILE)
    assert fetched(partner)[0] == FILE
    assert [address for address, _ in network.connected] == ["9.9.9.9", PUBLIC]
    network.dead.add(PUBLIC)
    assert refused(partner) == (
        "no_connection",
        f"The connection to {HOST} failed: Connection refused.",
    )


def test_a_host_that_is_unknown_or_not_found_in_time(
    partner: Partner, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.hosts.clear()
    assert refused(partner) == ("unknown_host", f"There is no host {HOST}.")
    go_on = threading.Event()
    monkeypatch.setattr(addresses, "look_up", lambda *_: go_on.wait(60))
    assert refused(partner, seconds=0.2)[0] == "too_slow"
    go_on.set()
    monkeypatch.undo()
    partner.address = f"http://{'x' * 70}.example.com/"  # no name at all
    assert refused(partner)[0] == "unknown_host"


# --- Encryption ---------------------------------------------------------------------------------
def test_a_file_is_fetched_over_https(partner: Partner, secure: Server, network: Network) -> None:
    partner.address, partner.allow_http = at(secure, "/a.csv?of=1", scheme="https"), False
    secure["/a.csv?of=1"] = ok(FILE, MODIFIED)
    dated = datetime(2026, 11, 27, 3, tzinfo=UTC)
    assert fetched(partner) == (FILE, Fetched(dated_at=dated, pages=1))
    assert network.connected == [(PUBLIC, secure.port)]
    assert secure.headers() == {
        "Host": f"{HOST}:{secure.port}",
        "User-Agent": "Vitrine",
        "Accept": "*/*",
        "Accept-Encoding": "gzip",
        "Connection": "close",
    }


def test_only_the_certificate_of_its_name_is_believed(
    partner: Partner,
    secure: Server,
    network: Network,
    certificates: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    partner.address = at(secure, "/a.csv", scheme="https", host=OTHER)
    code, sentence = refused(partner)
    assert code == "certificate"
    assert sentence.startswith(f"The certificate of {OTHER} is not valid: Hostname mismatch")
    trust(certificates / "others.pem", monkeypatch)
    partner.address = at(secure, "/a.csv", scheme="https")
    assert refused(partner)[0] == "certificate"
    assert secure.requests == []


def test_http_is_for_partners_that_are_set_so(partner: Partner, network: Network) -> None:
    partner.allow_http = False
    assert refused(partner) == ("not_https", f"{HOST} would be asked without encryption.")
    assert network.looked_up == []


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 T", "308 P"])
def test_a_redirect_from_https_to_http_is_refused(
    partner: Partner, secure: Server, server: Server, status: str
) -> None:
    partner.address = at(secure, "/a.csv", scheme="https")  # http may be asked, but not from here
    secure["/a.csv"] = redirect(at(server, "/b.csv"), status)
    assert refused(partner)[0] == "not_https"
    assert server.requests == []


# --- Redirects and secrets ----------------------------------------------------------------------
def test_redirects_are_followed_but_not_for_ever(partner: Partner, server: Server) -> None:
    server["/a.csv"] = redirect("b/1")
    for number in range(1, 5):
        server[f"/b/{number}"] = redirect(at(server, f"/b/{number + 1}"), "307 Temporary")
    server["/b/5"] = ok(FILE)
    assert fetched(partner)[0] == FILE
    server["/b/5"] = redirect("6")
    server["/b/6"] = ok(FILE)
    assert refused(partner) == ("redirects", "There are more than 5 redirects.")


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("", "bad_answer"),
        ("https://[", "bad_address"),
        ("//[::1", "bad_address"),
        ("http://:80/", "bad_address"),
        ("http://a:99999/", "bad_address"),
        ("file:///etc/passwd", "bad_address"),
        ("gopher://feeds.example.com/", "bad_address"),
        ("/" + "x" * 5000, "bad_address"),
        ("http://169.254.169.254/latest/meta-data/", "private_address"),
        ("http://[::ffff:127.0.0.1]/", "private_address"),
        ("http://nobody.example.org/", "unknown_host"),
    ],
)
def test_where_no_redirect_may_lead(
    partner: Partner, server: Server, network: Network, location: str, code: str
) -> None:
    network.hosts |= {"169.254.169.254": ["169.254.169.254"]}
    network.hosts |= {"::ffff:127.0.0.1": ["::ffff:127.0.0.1"]}
    server["/a.csv"] = redirect(location)
    assert refused(partner)[0] == code
    assert len(network.connected) == 1


def test_user_and_password_are_for_their_own_host(partner: Partner, server: Server) -> None:
    other = Server()  # the same host, but another port
    partner.address = at(server, "/a.csv", user="user%40x:p%3Ass@")
    server["/a.csv"] = redirect("/b.csv")
    server["/b.csv"] = redirect(at(server, "/c.csv", host=OTHER))
    server["/c.csv"] = redirect(at(other, "/d.csv", user="own:secret@"))
    other["/d.csv"] = redirect(at(server, "/e.csv"))
    server["/e.csv"] = ok(FILE)
    assert fetched(partner)[0] == FILE
    sent = [server.headers(number).get("Authorization") for number in range(4)]
    basic = "Basic dXNlckB4OnA6c3M="
    assert sent == [basic, basic, None, basic]
    assert "Authorization" not in other.headers()
    assert "@" not in "".join(server.paths + other.paths)
    other.close()


def test_what_an_address_may_contain_is_quoted(partner: Partner, server: Server) -> None:
    server["/a.csv"] = redirect("/b c/ü%20<x>?q=a b&r=%2F#part")
    server["/b%20c/%C3%83%C2%BC%20%3Cx%3E?q=a%20b&r=%2F"] = ok(FILE)  # its bytes, read as Latin 1
    assert fetched(partner)[0] == FILE


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:pw@a.example/x/y.csv?token=t#f", "https://a.example/x/y.csv"),
        ("https://user@a.example:8443/x", "https://a.example:8443/x"),
        ("https://us:p@ss@a.example/x", "https://a.example/x"),
        ("https://user:pw@[2a00::1]:8443/x?t", "https://[2a00::1]:8443/x"),
        ("https://user:p?w@a.example/x", ""),
        ("https://[", ""),
        ("", ""),
    ],
)
def test_what_is_shown_of_an_address(address: str, shown: str) -> None:
    assert shown_address(address) == shown
