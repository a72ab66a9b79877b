"""A force of a breaker that is open already, and one that ends while a caller holds its row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from payments import breaker
from payments.models import CircuitBreaker
from payments.services import breaker_force
from tests.payments.support import fail, state

if TYPE_CHECKING:
    from tests.payments.support import Clock

pytestmark = pytest.mark.django_db(transaction=True)


def force_open() -> None:
    breaker_force(state="open", reason="maintenance", minutes=10, by="anna", user_id=7)


def test_forcing_an_open_breaker_open_is_no_new_opening(clock: Clock) -> None:
    fail(5)
    opened = clock.now
    assert CircuitBreaker.objects.get().opened_at == opened
    clock.forward(3)
    force_open()
    assert CircuitBreaker.objects.get().opened_at == opened


def test_a_row_read_before_its_force_ended_is_read_again(clock: Clock) -> None:
    force_open()
    row = CircuitBreaker.objects.get()
    clock.forward(10 * 60)
    assert breaker.acquire("next", row).probe
    assert state() == "half_open"
    assert CircuitBreaker.objects.get().forced_state == ""
