"""Several workers share an outbox."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from retail import jobs
from retail.mail import outbox
from retail.models import Email
from tests.support import send_emails

if TYPE_CHECKING:
    from retail.mail.kinds import EmailKind
    from tests.retail.mail.server import MailServer

SENDERS, EMAILS = 4, 24


@pytest.mark.django_db(transaction=True)
def test_no_two_senders_send_the_same_email(server: MailServer, note: EmailKind) -> None:
    for number in range(EMAILS):
        note.write(about=f"n{number}")

    def work(_: int) -> int:
        try:
            return send_emails()
        finally:
            connection.close()

    with ThreadPoolExecutor(SENDERS) as pool:
        sent = list(pool.map(work, range(SENDERS)))
    assert sum(sent) == EMAILS
    recipients = Counter(message["To"] for message in server.messages)
    assert recipients == Counter(f"n{number}@example.com" for number in range(EMAILS))
    assert set(Email.objects.values_list("state", "attempts")) == {("sent", 1)}


@pytest.mark.django_db(transaction=True)
def test_a_sender_that_waits_for_its_answer_holds_up_nobody(
    server: MailServer, note: EmailKind
) -> None:
    """The first text is not answered until the second e-mail has been accepted."""
    server.hold_first = True
    for about in ("slow", "quick"):
        note.write(about=about)

    def work(_: int) -> int:
        try:
            return outbox.send_next()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, range(2))) == [1, 1]
    assert len(server.texts) == 2
    assert set(Email.objects.values_list("state", flat=True)) == {"sent"}


def test_the_worker_runs_several_senders() -> None:
    assert jobs.pollers.count(outbox.send_next) == outbox.SENDERS > 1
