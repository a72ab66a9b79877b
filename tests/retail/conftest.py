"""Fixtures of the tests of retail."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from retail.observability.logs.formatter import JsonFormatter
from retail.observability.prometheus.instruments import telemetry

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def forgiving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make telemetry count its errors instead of raising them, as in production."""
    monkeypatch.setattr(telemetry, "strict", False)


@pytest.fixture
def site(settings: Settings) -> Iterator[Client]:
    """Return a client of a shop with the pages of tests.retail.pages; errors become 500 pages."""
    settings.ROOT_URLCONF = "tests.retail.pages"
    # Silence Django's own log line for a 500.
    logging.getLogger("django.request").disabled = True
    yield Client(raise_request_exception=False)
    logging.getLogger("django.request").disabled = False


class _Kept(logging.Handler):
    """Formats each record when it is logged, because the request id changes."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Return a function that returns the JSON lines of the shop's loggers."""
    kept = _Kept()
    logger = logging.getLogger("retail")
    logger.addHandler(kept)
    yield lambda: kept.lines
    logger.removeHandler(kept)
