from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from retail.mail.kinds import Content, EmailKind, registered
from tests.retail.mail.server import Clock, MailServer, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from retail.models import Email


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that the shop reads; a second ahead, so that what is due now is due."""
    clock = Clock(timezone.now() + timedelta(seconds=1))
    monkeypatch.setattr("django.utils.timezone.now", clock)
    return clock


@pytest.fixture
def use_smtp(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "retail.mail.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_TIMEOUT = settings.EMAIL_ANSWER_TIMEOUT = 60


@pytest.fixture
def server(use_smtp: None, settings: Settings) -> Iterator[MailServer]:
    with running() as server:
        settings.EMAIL_PORT = server.port
        yield server


@pytest.fixture
def note() -> Iterator[EmailKind]:
    """A kind of e-mail, to an address with the name of what it is about."""

    def compose(email: Email) -> Content | None:
        return Content(f"{email.about}@example.com", f"About {email.about}", ".A dot\nand more")

    yield EmailKind("note", compose)
    del registered["note"]
