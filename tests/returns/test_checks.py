"""The checks of the settings of refunds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from returns import checks

if TYPE_CHECKING:
    from pytest_django import Settings


@pytest.mark.parametrize(("lease", "found"), [(32, ["returns.E001"]), (33, [])])
def test_a_lease_outlasts_a_batch(settings: Settings, lease: int, found: list[str]) -> None:
    settings.GATEWAY_CONNECT_TIMEOUT, settings.GATEWAY_READ_TIMEOUT = 1, 3
    settings.PAYMENT_LEASE = lease
    problems = checks.lease_outlasts_a_batch()
    assert [problem.id for problem in problems] == found
    assert all("can take 32 s" in problem.msg for problem in problems)


@pytest.mark.parametrize(("life", "found"), [(900, ["returns.E002"]), (901, [])])
def test_keys_outlive_an_answer(settings: Settings, life: int, found: list[str]) -> None:
    settings.GATEWAY_KEY_LIFE = life
    assert [problem.id for problem in checks.keys_outlive_the_answer()] == found
