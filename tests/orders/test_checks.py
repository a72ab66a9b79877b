"""The lease of a batch of payments, held against the gateway's time-outs."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from orders.checks import lease_outlasts_a_batch, longest_batch
from payments import services
from payments.gateway import Charge, NoAnswerError
from payments.services import longest_charge, payment_acquire, payment_charge
from tests.support import ScriptedGateway


def test_the_defaults_are_a_lease_of_60_s_for_at_most_40_75() -> None:
    # Five rounds of eight; each charge two tries of 1 + 3 s, and at most 0.15 s between them.
    assert (django_settings.PAYMENT_LEASE, longest_batch()) == (60, 40.75)
    assert lease_outlasts_a_batch() == []


@pytest.mark.parametrize(
    ("attempts", "connect", "read", "longest"),
    [(1, 1, 3, 4), (2, 0.5, 10, 21.15), (3, 1, 3, 12.45), (4, 2, 2, 17.05)],
)
def test_a_charge_takes_its_tries_and_the_pauses_between_them(
    settings: Settings, attempts: int, connect: float, read: float, longest: float
) -> None:
    settings.GATEWAY_ATTEMPTS = attempts
    settings.GATEWAY_CONNECT_TIMEOUT, settings.GATEWAY_READ_TIMEOUT = connect, read
    assert longest_charge() == pytest.approx(longest)
    assert longest_batch() == pytest.approx(5 * longest)


@pytest.mark.django_db
def test_no_pauses_are_longer_than_that(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, scripted_gateway: ScriptedGateway
) -> None:
    settings.GATEWAY_ATTEMPTS, settings.BREAKER_FAIL_MAX = 4, 100
    monkeypatch.setattr(services, "BACKOFF_SECONDS", 0.1)
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    slept: list[float] = []
    monkeypatch.setattr("payments.services.time.sleep", slept.append)
    scripted_gateway.answers = [NoAnswerError()]
    with pytest.raises(NoAnswerError):
        payment_charge(
            charge=Charge("key", 1, "EUR", "tok_good", "VT-1"),  # type: ignore[arg-type]
            permit=payment_acquire(key="key"),
        )
    calls = 4 * (settings.GATEWAY_CONNECT_TIMEOUT + settings.GATEWAY_READ_TIMEOUT)
    assert longest_charge() == pytest.approx(calls + sum(slept))


def test_a_batch_that_is_not_full_takes_a_round_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orders.recovery.BATCH", 41)
    assert longest_batch() == pytest.approx(6 * 8.15)
    monkeypatch.setattr("orders.recovery.CONCURRENCY", 50)
    assert longest_batch() == pytest.approx(8.15)


def test_so_many_attempts_that_nobody_lives_to_see_their_end_can_be_told(
    settings: Settings,
) -> None:
    settings.GATEWAY_ATTEMPTS = 2**31 - 1
    assert longest_batch() > 1e9
    assert len(lease_outlasts_a_batch()) == 1


def test_a_lease_that_is_no_longer_than_the_batch_is_an_error(settings: Settings) -> None:
    settings.PAYMENT_LEASE = 40.76
    assert lease_outlasts_a_batch() == []
    settings.PAYMENT_LEASE = 40.75
    [error] = lease_outlasts_a_batch()
    assert (error.id, error.level) == ("orders.E001", 40)
    assert error.msg == (
        "PAYMENT_LEASE is 40.75 s, and one batch of payments can take 40.75 s: "
        "a second worker would claim payments that the first still charges."
    )
    assert error.hint == (
        "Set PAYMENT_LEASE to more than 41, or lower GATEWAY_READ_TIMEOUT, "
        "GATEWAY_CONNECT_TIMEOUT or GATEWAY_ATTEMPTS."
    )


def test_the_worker_does_not_start_with_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "worker"],
        cwd=django_settings.BASE_DIR,
        env={
            "PATH": os.environ["PATH"],
            "DEBUG": "True",
            "VAR_DIR": str(tmp_path),
            "LOG_DIR": str(tmp_path),
            "METRIC_FILES_DIR": str(tmp_path),
            "GATEWAY_READ_TIMEOUT": "10",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "(orders.E001) PAYMENT_LEASE is 60 s, and one batch of payments can take 110.75 s" in (
        done.stderr
    )
