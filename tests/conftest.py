"""What all tests share: careful telemetry, and a gateway that does as it is told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

    from tests.support import ScriptedGateway

pytest_plugins = ["tests.left_out"]
collect_ignore = ["stack"]  # `make stack-test`, a program of its own

# A busy machine makes an example slow, not wrong. Always new examples, whatever CI=… suggests.
hypothesis.settings.register_profile(
    "tests",
    deadline=None,
    derandomize=False,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tests")


def pytest_configure() -> None:
    from retail.observability.logs.sinks import SharedFile  # noqa: PLC0415 - tools need no shop
    from retail.observability.logs.writer import LineWriter  # noqa: PLC0415

    # What tests log is not the shop's log, and each line is written when it is logged.
    for writer in [one for one in logging.root.handlers if isinstance(one, LineWriter)]:
        writer.sinks = [sink for sink in writer.sinks if not isinstance(sink, SharedFile)]
        writer.flush_seconds = 0


@pytest.fixture(autouse=True)
def _careful_telemetry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a mistake in telemetry fail the test, and rows wait until the test asks for them."""
    from django.contrib.auth.hashers import get_hashers  # noqa: PLC0415 - tools need no Django
    from django.core.cache import cache  # noqa: PLC0415

    from retail.observability.prometheus import exposition, instruments  # noqa: PLC0415
    from retail.observability.rows import recorder  # noqa: PLC0415

    # Hashing passwords the way production must would be most of the tests' time.
    hashers = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    monkeypatch.setattr("django.conf.settings.PASSWORD_HASHERS", hashers)
    get_hashers.cache_clear()  # type: ignore[attr-defined]
    monkeypatch.setattr(instruments.telemetry, "strict", True)
    monkeypatch.setattr(recorder.recorder, "use_thread", False)
    recorder.recorder.after_fork()  # begin with no rows waiting
    exposition.database_gauges.forget()
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def scripted_gateway(monkeypatch: pytest.MonkeyPatch) -> ScriptedGateway:
    """Put a gateway that does as it is told in the place of the HTTP client."""
    from payments import gateway, services  # noqa: PLC0415 - Django comes first
    from tests.support import ScriptedGateway  # noqa: PLC0415

    scripted = ScriptedGateway()
    monkeypatch.setattr(gateway, "charge", scripted.charge)
    monkeypatch.setattr(gateway, "cancel", scripted.cancel)
    monkeypatch.setattr(services, "BACKOFF_SECONDS", 0)
    return scripted


@pytest.fixture
def staff(client: Client) -> Client:
    """Return somebody who may look: of the staff, without any permission."""
    from django.contrib.auth.models import User  # noqa: PLC0415 - Django comes first

    from tests.support import make_buyer  # noqa: PLC0415 - the same

    somebody = make_buyer("staff")
    User.objects.filter(pk=somebody.pk).update(is_staff=True)
    client.force_login(somebody)
    return client
