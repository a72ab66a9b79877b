"""The shop that is attacked, and what an attacker knows about it."""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from drills.shoppers import Shopper

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT = 60  # seconds; only to end an attempt
LAMP = "/products/lumen-desk-lamp/"  # in the sample catalogue; not on flash sale
PASSWORD = "violet-Kettle-8813-orbit"


class BrokenIn(Exception):  # noqa: N818 - what happened
    """The attempt succeeded."""


def refused(what: str, statement: object) -> None:
    """Note that the shop refuses this. Raises BrokenIn if it does not."""
    if not statement:
        raise BrokenIn(what)


class _From(HTTPAdapter):
    """Connects from one address of this machine, so that attempts do not use up others' limits."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, source_address=(self.address, 0), **kwargs)


@dataclass(frozen=True)
class Target:
    """A running shop."""

    url: str
    gateway: str = ""  # where the payment gateway can be reached too
    card: str = ""  # that the gateway accepts
    staff: str = ""  # whose password was stolen, as name:password
    address: str = ""  # to connect from; empty for any
    https: bool = False  # whether a proxy in front stands for https
    logs: Callable[[], str] | None = None  # all that the shop has logged

    def browser(self) -> requests.Session:
        """Return a browser without cookies."""
        session = requests.Session()
        session.trust_env = False
        if self.address:
            session.mount("http://", _From(self.address))
        return session

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send one request of a stranger; redirects are not followed."""
        options = {"timeout": TIMEOUT, "allow_redirects": False, **options}
        return self.browser().request(method, self.url + path, **options)

    def visitor(self) -> Shopper:
        """Return a visitor without an account."""
        shopper = Shopper(self.url)
        shopper.session = self.browser()
        return shopper

    def customer(self, name: str = "") -> Shopper:
        """Return a new customer, whose password is PASSWORD."""
        shopper = self.visitor()
        page = shopper.submit(
            shopper.get("/accounts/register/"),
            "/accounts/register/",
            username=name or f"mallory-{secrets.token_hex(5)}",
            password1=PASSWORD,
            password2=PASSWORD,
        )
        page.raise_for_status()
        return shopper

    def log_in(self, shopper: Shopper, name: str, password: str, **headers: str) -> int:
        """Send the log-in form and return the status of the answer."""
        shopper.session.headers.update(headers)
        page = shopper.get("/accounts/login/")
        if page.status_code != 200:
            return page.status_code
        answer = shopper.submit(page, "/accounts/login/", username=name, password=password)
        return (answer.history or [answer])[0].status_code

    def connect(self) -> socket.socket:
        """Return a connection without HTTP."""
        parts = urlsplit(self.url)
        source = (self.address, 0) if self.address else None
        where = (parts.hostname or "", parts.port or 80)
        return socket.create_connection(where, timeout=TIMEOUT, source_address=source)

    def raw(self, sent: bytes) -> bytes:
        """Send these bytes and return what comes back until the shop closes the connection."""
        received = b""
        with self.connect() as client:
            client.sendall(sent)
            try:
                while more := client.recv(65536):
                    received += more
            except (ConnectionResetError, TimeoutError):
                pass
        return received
