"""An e-mail is accepted within a day, and once, if the mail server says what it does."""

from __future__ import annotations

import logging
import socket
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import OperationalError, transaction
from django.utils import timezone

from retail.clocks import pull_back
from retail.mail import outbox
from retail.models import Email
from tests.retail.mail.server import running
from tests.support import moved, send_emails

if TYPE_CHECKING:
    from pytest_django import Settings

    from retail.mail.kinds import EmailKind
    from tests.retail.mail.server import Clock, MailServer

pytestmark = pytest.mark.django_db
State = Email.State


def pass_time(clock: Clock, total: timedelta, step: timedelta = timedelta(seconds=30)) -> None:
    """Let the worker send what is due at each step."""
    end = clock.now + total
    while clock.now < end:
        clock.now += step
        send_emails()


def events(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, object]]:
    """Return the level, event and outcome of the outbox's log lines."""
    return [
        (record.levelname, record.message, record.__dict__.get("outcome"))
        for record in caplog.records
        if record.name == "retail.mail"
    ]


def test_an_email_is_composed_and_sent_once(
    server: MailServer, note: EmailKind, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    note.write(about="bea")
    with moved() as changes:
        assert send_emails() == 1
    assert send_emails() == 0
    [message] = server.messages
    email = Email.objects.get()
    assert (message["To"], message["Subject"]) == ("bea@example.com", "About bea")
    assert message["Message-ID"] == f"<{email.message_id.hex}@localhost>"
    assert message.get_payload() == "..A dot\nand more\n"  # the dot is doubled on the wire
    assert (email.state, email.attempts, email.ended_at is None) == (State.SENT, 1, False)
    assert events(caplog) == [("INFO", "event=email.ended", "sent")]
    assert changes == {'retail_emails_total{outcome="sent"}': 1, "retail_emails_waiting": -1}


def test_an_email_commits_or_rolls_back_with_what_it_tells_of(note: EmailKind) -> None:
    @transaction.atomic
    def fail() -> None:
        note.write(about="bea")
        raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert send_emails() == 0
    assert not Email.objects.exists()


def test_nothing_of_the_text_is_stored(server: MailServer, note: EmailKind) -> None:
    note.write(about="bea")
    send_emails()
    stored = str(Email.objects.values().get())
    assert "bea" in stored
    assert [word for word in ("A dot", "example.com", "About") if word in stored] == []


def test_only_one_email_of_a_kind_waits_for_the_same_subject(
    server: MailServer, note: EmailKind
) -> None:
    for about in ("bea", "bea", "cem"):
        note.write(about=about)
    assert send_emails() == 2
    note.write(about="bea")
    assert send_emails() == 1
    assert len(server.texts) == 3


def test_a_server_that_accepts_and_answers_late_gets_one_more(
    server: MailServer,
    note: EmailKind,
    clock: Clock,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.EMAIL_ANSWER_TIMEOUT = 0.3
    server.replies["TEXT"] = None  # accepted, but the answer never comes
    note.write(about="bea")
    pass_time(clock, timedelta(minutes=59))
    assert (len(server.texts), Email.objects.get().unanswered) == (1, 1)
    pass_time(clock, timedelta(days=2), step=timedelta(minutes=10))
    assert len(server.texts) == 2
    assert len({message["Message-ID"] for message in server.messages}) == 1
    email = Email.objects.get()
    assert (email.state, email.attempts) == (State.UNCERTAIN, 2)
    assert events(caplog)[-1] == ("ERROR", "event=email.ended", "uncertain")


@pytest.mark.parametrize("answer", [None, "hello", "199 what"])
def test_one_late_or_senseless_answer_costs_one_repetition_at_most(
    server: MailServer, note: EmailKind, clock: Clock, settings: Settings, answer: str | None
) -> None:
    settings.EMAIL_ANSWER_TIMEOUT = 0.3
    server.replies["TEXT"] = answer
    note.write(about="bea")
    send_emails()
    del server.replies["TEXT"]
    settings.EMAIL_ANSWER_TIMEOUT = 60
    pass_time(clock, timedelta(days=1), step=timedelta(minutes=10))
    email = Email.objects.get()
    assert (email.state, email.attempts, email.unanswered) == (State.SENT, 2, 2)
    assert 1 <= len(server.texts) <= 2


def test_after_an_outage_every_email_is_sent_once(
    use_smtp: None, note: EmailKind, clock: Clock, settings: Settings
) -> None:
    with socket.socket() as closed:  # bound, but nobody listens
        closed.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = closed.getsockname()[1]
        for about in ("bea", "cem", "dot"):
            note.write(about=about)
        pass_time(clock, timedelta(hours=13), step=timedelta(minutes=1))
    assert {email.state for email in Email.objects.all()} == {State.WAITING}
    with running(settings.EMAIL_PORT) as server:
        pass_time(clock, timedelta(minutes=16))
        pass_time(clock, timedelta(days=3), step=timedelta(hours=1))
        assert sorted(message["To"] for message in server.messages) == [
            *("bea@example.com", "cem@example.com", "dot@example.com")
        ]


def test_after_a_day_of_outage_an_email_is_given_up_and_named(
    use_smtp: None,
    note: EmailKind,
    clock: Clock,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = closed.getsockname()[1]
        note.write(about="bea")
        pass_time(clock, timedelta(hours=23), step=timedelta(minutes=1))
        assert Email.objects.get().state == State.WAITING
        pass_time(clock, timedelta(hours=2), step=timedelta(minutes=1))
    email = Email.objects.get()
    assert (email.state, email.attempts < 110) == (State.GIVEN_UP, True)
    assert "ConnectionRefusedError" in email.last_error
    [last] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert (last.message, last.__dict__["about"]) == ("event=email.ended", "bea")
    assert send_emails() == 0


def test_an_old_email_is_sent_when_the_worker_returns_after_days(
    server: MailServer, note: EmailKind, clock: Clock
) -> None:
    note.write(about="bea")
    clock.now += timedelta(days=4)
    send_emails()
    assert len(server.texts) == 1


def test_a_recipient_refused_for_good_is_not_tried_again_and_the_others_go_on(
    server: MailServer, note: EmailKind, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    server.refused.add("nobody")
    for about in ("nobody", "bea"):
        note.write(about=about)
    pass_time(clock, timedelta(days=2), step=timedelta(hours=1))
    ended = dict(Email.objects.values_list("about", "state"))
    assert ended == {"nobody": State.REFUSED, "bea": State.SENT}
    assert set(Email.objects.values_list("attempts", flat=True)) == {1}
    assert ("WARNING", "event=email.ended", "refused") in events(caplog)
    assert len(server.texts) == 1


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("CONNECT", "421 too busy"),
        ("CONNECT", "554 no service for you"),
        ("MAIL", "451 later"),
        ("MAIL", "530 log in first"),
        ("RCPT", "450 greylisted"),
        ("DATA", "451 later"),
        ("TEXT", "452 disk full"),
        ("TEXT", "421 closing"),
    ],
)
def test_a_refusal_for_now_is_tried_again(
    server: MailServer, note: EmailKind, clock: Clock, command: str, reply: str
) -> None:
    server.replies[command] = reply
    note.write(about="bea")
    pass_time(clock, timedelta(minutes=20))
    email = Email.objects.get()
    assert (email.state, email.unanswered, server.texts) == (State.WAITING, 0, [])
    assert 3 <= email.attempts <= 8
    del server.replies[command]
    pass_time(clock, timedelta(hours=2), step=timedelta(minutes=1))
    assert (Email.objects.get().state, len(server.texts)) == (State.SENT, 1)


def test_a_text_refused_for_good_is_not_tried_again(server: MailServer, note: EmailKind) -> None:
    server.replies["TEXT"] = "554 this is spam"
    note.write(about="bea")
    send_emails()
    email = Email.objects.get()
    assert (email.state, email.last_error[:13]) == (State.REFUSED, "SMTPDataError")


def test_what_was_accepted_is_sent_whatever_the_server_says_to_quit(
    server: MailServer, note: EmailKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retail.mail.smtp.QUIT_SECONDS", 0.2)
    for reply in (None, "421 who are you", "garbage"):
        server.replies["QUIT"] = reply
        note.write(about="bea")
        send_emails()
    assert [email.state for email in Email.objects.all()] == [State.SENT] * 3
    assert len(server.texts) == 3


@pytest.mark.parametrize("command", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"])
def test_a_trickling_server_is_left_at_the_deadline(
    server: MailServer, note: EmailKind, settings: Settings, command: str
) -> None:
    settings.EMAIL_TIMEOUT = 0.3
    server.trickles = command
    note.write(about="bea")
    assert send_emails() == 1  # or it would never return
    email = Email.objects.get()
    assert (email.state, email.unanswered) == (State.WAITING, 0)


def test_a_trickling_answer_to_the_text_is_no_answer(
    server: MailServer, note: EmailKind, settings: Settings
) -> None:
    settings.EMAIL_ANSWER_TIMEOUT = 0.3
    server.trickles = "TEXT"
    note.write(about="bea")
    assert send_emails() == 1
    assert Email.objects.get().unanswered == 1


def test_a_flood_of_replies_is_cut_off(server: MailServer, note: EmailKind) -> None:
    server.replies["EHLO"] = "\r\n".join(["250-more"] * 100_000)
    note.write(about="bea")
    send_emails()
    assert "the server sent too much" in Email.objects.get().last_error


def test_a_claimed_email_is_left_alone_until_its_lease_ends(
    server: MailServer, note: EmailKind, clock: Clock
) -> None:
    note.write(about="bea")
    assert outbox.claim(clock.now)  # by a worker that dies
    clock.now += timedelta(seconds=119)
    assert send_emails() == 0
    clock.now += timedelta(seconds=2)
    assert send_emails() == 1
    assert len(server.texts) == 1


def test_a_worker_that_dies_with_the_text_handed_over_costs_one_repetition(
    server: MailServer, note: EmailKind, clock: Clock, settings: Settings
) -> None:
    settings.EMAIL_ANSWER_TIMEOUT = 300  # longer than the rest of a conversation
    note.write(about="bea")
    for _ in range(2):
        email = outbox.claim(clock.now)
        assert email
        outbox._before_text(email)  # and dies
        clock.now += timedelta(seconds=359)
        assert send_emails() == 0
        clock.now += timedelta(seconds=2)
    assert send_emails() == 1
    assert (Email.objects.get().state, server.texts) == (State.UNCERTAIN, [])


def test_a_worker_that_slept_past_its_lease_hands_nothing_over(
    server: MailServer, note: EmailKind, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    note.write(about="bea")
    email = outbox.claim(clock.now)
    assert email
    clock.now += timedelta(minutes=3)
    send_emails()  # another worker
    assert len(server.texts) == 1
    monkeypatch.setattr("retail.mail.smtp.QUIT_SECONDS", 0.2)
    outbox._send(email)
    assert len(server.texts) == 1
    assert Email.objects.get().state == State.SENT


def test_a_broken_email_does_not_hold_up_the_others(
    server: MailServer, note: EmailKind, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    compose = note.compose

    def broken(email: Email) -> object:
        return 1 / 0 if email.about == "broken" else compose(email)

    monkeypatch.setattr(note, "compose", broken)
    for about in ("broken", "bea"):
        note.write(about=about)
    Email.objects.create(kind="unknown", about="?")
    assert send_emails() == 3
    assert [message["To"] for message in server.messages] == ["bea@example.com"]
    assert Email.objects.filter(state=State.WAITING, attempts=1).count() == 2
    assert ("ERROR", "event=email.failed", None) in events(caplog)


@pytest.mark.parametrize("wrong", [timedelta(hours=-2), timedelta(days=-400), timedelta(days=400)])
def test_a_wrong_clock_delays_nothing_for_long(
    use_smtp: None, note: EmailKind, clock: Clock, settings: Settings, wrong: timedelta
) -> None:
    right = clock.now
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = closed.getsockname()[1]
        clock.now = right - wrong
        note.write(about="bea")
        Email.objects.update(due_at=clock.now, created_at=clock.now)
        send_emails()
    clock.now = right
    pull_back(right)  # as the worker does with each heartbeat
    with running(settings.EMAIL_PORT) as server:
        pass_time(clock, timedelta(minutes=63))
        assert len(server.texts) == 1


def test_a_clock_set_back_by_less_than_a_retry_puts_off_no_first_attempt(
    server: MailServer, note: EmailKind, clock: Clock
) -> None:
    note.write(about="bea")
    clock.now -= outbox.longest_wait() / 2
    pull_back(clock.now)
    send_emails()
    assert len(server.texts) == 1


@pytest.mark.django_db(transaction=True)
def test_an_acceptance_is_stored_once_the_database_is_back(
    server: MailServer, note: EmailKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    note.write(about="bea")
    claimed, failures = outbox._claimed, [OperationalError("gone")] * 3
    monkeypatch.setattr(outbox, "sleep", lambda _: None)

    def unreachable(email: Email) -> object:
        if server.texts and failures:
            raise failures.pop()
        return claimed(email)

    monkeypatch.setattr(outbox, "_claimed", unreachable)
    send_emails()
    assert (failures, len(server.texts)) == ([], 1)
    assert Email.objects.get().state == State.SENT


def test_ended_emails_are_deleted_after_a_while(note: EmailKind, settings: Settings) -> None:
    for about, days in (("old", 31), ("new", 29), ("waiting", 0)):
        note.write(about=about)
        if days:
            ended = timezone.now() - timedelta(days=days)
            Email.objects.filter(about=about).update(state=State.SENT, ended_at=ended)
    assert outbox.prune(timezone.now()) == 1
    assert set(Email.objects.values_list("about", flat=True)) == {"new", "waiting"}
