"""Mail that takes its time: real processes and a mail server on a socket."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.contracts.emitted import LAMP
from tests.faults.conftest import mail_rows
from tests.faults.records import query
from tests.retail.mail.server import MailServer, running
from tests.running.support import RunningShop, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.records import Row

EMAIL = "SELECT state, attempts, last_error FROM retail_email ORDER BY id"
MAKE_DUE = "UPDATE retail_email SET due_at = '2000-01-01 00:00:00' WHERE state = 'waiting'"
GIVE_ADDRESSES = "UPDATE auth_user SET email = 'buyer@example.com'"


@dataclass(frozen=True)
class Case:
    """How the mail server behaves at first and from the second attempt on, and the outcome."""

    row: str
    at_first: dict[str, str | None] = field(default_factory=dict)
    later: dict[str, str | None] = field(default_factory=dict)
    copies: int = 1
    state: str = "sent"
    attempts: int = 2


NEVER: dict[str, str | None] = {"TEXT": None}
CASES = [
    Case("answers at once", attempts=1),
    Case("accepts an e-mail and answers too late, once", NEVER, copies=2),
    Case("accepts every e-mail and always answers too late", NEVER, NEVER, 2, "uncertain"),
    Case("takes no text at first", {"DATA": None}),
    Case("greets nobody at first", {"CONNECT": None}),
    Case("is busy at first (4xx)", {"RCPT": "450 later"}),
    Case("refuses the recipient (5xx)", {"RCPT": "550 unknown"}, {}, 0, "refused", 1),
]


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def shop(server: MailServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    mail = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(server.port)}
    impatient = {"EMAIL_TIMEOUT": "3", "EMAIL_ANSWER_TIMEOUT": "3"}
    shop = RunningShop(tmp_path_factory.mktemp("mail"), {**mail, **impatient})
    try:
        shop.start("web", "worker")
        yield shop
    finally:
        shop.close()


def email(shop: RunningShop) -> Row:
    return query(shop, EMAIL)[-1]


def first_attempt_ended(shop: RunningShop) -> bool:
    row = email(shop)
    return bool(row["state"] != "waiting" or row["last_error"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.row)
def test_copies_of_a_confirmation(case: Case, server: MailServer, shop: RunningShop) -> None:
    server.texts.clear()
    server.replies = dict(case.at_first)
    shopper = shop.shopper()
    shopper.put_in_cart(LAMP)
    query(shop, GIVE_ADDRESSES)
    page = shopper.order()
    assert "Thank you" in page.text
    wait_until(lambda: first_attempt_ended(shop), "the end of the first attempt")
    server.replies = dict(case.later)
    query(shop, MAKE_DUE)
    wait_until(lambda: email(shop)["state"] != "waiting", "the end of the e-mail")
    row = email(shop)
    assert (row["state"], row["attempts"]) == (case.state, case.attempts)
    assert len(server.texts) == case.copies
    assert len({message["Message-ID"] for message in server.messages}) == min(case.copies, 1)
    again = shopper.get(page.url.removeprefix(shop.url)).text
    assert ("e-mailed your receipt" in again) is (case.state == "sent")
    mail_rows[case.row] = (case.state, str(case.copies))
