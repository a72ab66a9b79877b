"""The outbox's pauses, ends and limits, at the very moment or number where they change."""

from __future__ import annotations

import smtplib
import socket
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import OperationalError

from retail.mail import outbox
from retail.models import Email
from tests.support import send_emails

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from retail.mail.kinds import EmailKind
    from tests.retail.mail.server import Clock, MailServer

pytestmark = pytest.mark.django_db
State = Email.State
RESOLUTION = timedelta(microseconds=1)


@pytest.fixture
def no_server(use_smtp: None, settings: Settings) -> Iterator[None]:
    """A port that is bound, but on which nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = closed.getsockname()[1]
        yield


def test_pauses_double_from_half_a_minute_to_a_quarter_of_an_hour(
    no_server: None, note: EmailKind, clock: Clock
) -> None:
    note.write(about="bea")
    pauses = []
    for _ in range(13):
        Email.objects.update(due_at=clock.now)
        assert send_emails() == 1
        pauses.append((Email.objects.get().due_at - clock.now).total_seconds())
    assert pauses == [30, 60, 120, 240, 480, *[900] * 8]


def test_an_unanswered_text_waits_an_hour(
    server: MailServer, note: EmailKind, clock: Clock, settings: Settings
) -> None:
    settings.EMAIL_ANSWER_TIMEOUT = 0.3
    server.replies["TEXT"] = None
    note.write(about="bea")
    send_emails()
    assert Email.objects.get().due_at == clock.now + timedelta(hours=1)


def test_an_error_of_another_backend_is_no_missing_answer(
    note: EmailKind, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no such template at the provider")

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", fail)
    note.write(about="bea")
    send_emails()
    email = Email.objects.get()
    assert (email.state, email.unanswered) == (State.WAITING, 0)
    assert email.due_at == clock.now + timedelta(seconds=30)
    assert email.last_error == "ValueError: no such template at the provider"


@pytest.mark.parametrize(
    ("age", "state"),
    [
        (timedelta(days=1) - RESOLUTION, State.WAITING),
        (timedelta(days=1), State.GIVEN_UP),
    ],
)
def test_an_email_is_given_up_at_the_age_of_a_day(
    no_server: None, note: EmailKind, clock: Clock, age: timedelta, state: Email.State
) -> None:
    note.write(about="bea")
    Email.objects.update(created_at=clock.now - age, due_at=clock.now)
    assert send_emails() == 1
    assert Email.objects.get().state == state


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (smtplib.SMTPDataError(499, b""), False),
        (smtplib.SMTPDataError(500, b""), True),
        (smtplib.SMTPRecipientsRefused({"a": (499, b"")}), False),
        (smtplib.SMTPRecipientsRefused({"a": (500, b"")}), True),
        (smtplib.SMTPRecipientsRefused({"a": (550, b""), "b": (450, b"")}), False),
        (smtplib.SMTPSenderRefused(550, b"", "shop"), False),
    ],
)
def test_a_refusal_is_final_from_code_500_on(error: OSError, *, final: bool) -> None:
    assert outbox._is_final(error) is final


@pytest.mark.parametrize(("answer_timeout", "seconds"), [(60, 3600), (3540, 3600), (3541, 3601)])
def test_an_email_waits_no_longer_than_for_an_answer(
    settings: Settings, answer_timeout: float, seconds: float
) -> None:
    settings.EMAIL_ANSWER_TIMEOUT = answer_timeout
    assert outbox.longest_wait().total_seconds() == seconds


def test_the_email_due_the_longest_is_claimed_first(note: EmailKind, clock: Clock) -> None:
    for about, seconds in (("second", 2), ("first", 3), ("third", 0), ("not due", -1)):
        note.write(about=about)
        Email.objects.filter(about=about).update(due_at=clock.now - timedelta(seconds=seconds))
    claimed = [outbox.claim(clock.now) for _ in range(4)]
    assert [email and email.about for email in claimed] == ["first", "second", "third", None]


def test_an_email_sent_again_keeps_its_content_and_its_message_id(
    note: EmailKind, clock: Clock
) -> None:
    ended = Email.objects.create(
        kind="note", about="bea", context={"a": 1}, state=State.REFUSED, request_id="r1",
        attempts=7, unanswered=2, last_error="no", ended_at=clock.now,
    )  # fmt: skip
    assert outbox.send_again(Email.objects.all()) == 1
    again = Email.objects.get()
    assert (again.kind, again.about, again.context) == ("note", "bea", {"a": 1})
    assert (again.message_id, again.request_id) == (ended.message_id, "r1")
    assert (again.state, again.attempts, again.unanswered) == (State.WAITING, 0, 0)
    assert (again.last_error, again.ended_at) == ("", None)


def test_an_email_that_a_colleague_has_just_sent_again_stays(
    note: EmailKind, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    Email.objects.create(kind="note", about="bea", state=State.REFUSED, ended_at=clock.now)
    read = list(Email.objects.all())
    Email.objects.update(state=State.SENT)
    emails = Email.objects.all()
    monkeypatch.setattr(emails, "filter", lambda **_: read)  # read before the colleague came
    assert outbox.send_again(emails) == 0
    assert Email.objects.get().state == State.SENT


@pytest.mark.django_db(transaction=True)
def test_an_outcome_is_stored_for_ten_minutes_and_then_given_up(
    note: EmailKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    note.write(about="bea")
    passed = 0.0

    def unreachable(_: Email) -> object:
        raise OperationalError("gone")

    def wait(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(outbox, "_claimed", unreachable)
    monkeypatch.setattr(outbox, "monotonic", lambda: passed)
    monkeypatch.setattr(outbox, "sleep", wait)
    with pytest.raises(OperationalError):
        outbox._record(Email.objects.get(), state=State.SENT)
    assert passed == 601


def test_ended_emails_are_kept_for_exactly_their_days(
    note: EmailKind, clock: Clock, settings: Settings
) -> None:
    settings.EMAIL_KEEP_DAYS = 30
    for about, age in (("old", timedelta(days=30) + RESOLUTION), ("new", timedelta(days=30))):
        Email.objects.create(kind="note", about=about, state=State.SENT, ended_at=clock.now - age)
    assert outbox.prune(clock.now) == 1
    assert Email.objects.get().about == "new"


@pytest.mark.parametrize(("seconds", "age"), [(90, 90.0), (0, 0.0), (-5, 0.0)])
def test_the_oldest_waiting_email_is_no_younger_than_now(
    note: EmailKind, clock: Clock, seconds: int, age: float
) -> None:
    for about, older in (("bea", 0), ("cem", seconds)):
        note.write(about=about)
        Email.objects.filter(about=about).update(created_at=clock.now - timedelta(seconds=older))
    Email.objects.filter(about="bea").update(created_at=clock.now + timedelta(hours=1))
    read = {gauge.name: values[()] for gauge, values in outbox.read_waiting().items()}
    assert read == {"retail_emails_waiting": 2, "retail_emails_oldest_waiting_seconds": age}


def test_only_the_latest_claim_counts(
    server: MailServer, note: EmailKind, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retail.mail.smtp.QUIT_SECONDS", 0.2)
    note.write(about="bea")
    late = outbox.claim(clock.now)
    assert late
    clock.now += timedelta(minutes=3)
    assert outbox.claim(clock.now)  # by another worker, which is composing it
    outbox._send(late)
    assert (Email.objects.get().state, server.texts) == (State.WAITING, [])
    outbox._end(late, State.SENT)  # nor is its outcome stored
    assert Email.objects.get().state == State.WAITING
