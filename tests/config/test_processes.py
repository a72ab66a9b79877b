"""The limits of web and worker, set before the settings are imported."""

import os

import pytest

from config.processes import limit_database_waits


@pytest.mark.parametrize("role", ["web", "worker"])
@pytest.mark.parametrize(
    ("given", "set_to"), [(None, "timeout:1 attempts:2"), ("rotate", "rotate")]
)
def test_looking_up_a_host_takes_a_few_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch, role: str, given: str | None, set_to: str
) -> None:
    environment = {} if given is None else {"RES_OPTIONS": given}
    monkeypatch.setattr(os, "environ", environment)
    limit_database_waits(role)
    assert environment["RES_OPTIONS"] == set_to
