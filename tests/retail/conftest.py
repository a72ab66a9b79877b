"""What the ground floor's tests share."""

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
    """Let telemetry swallow and count its mistakes, as it does outside of tests."""
    monkeypatch.setattr(telemetry, "strict", False)


@pytest.fixture
def site(settings: Settings) -> Iterator[Client]:
    """Return a visitor of the shop with tests.retail.pages, who gets the 500 page as others do."""
    settings.ROOT_URLCONF = "tests.retail.pages"
    # Django's own line of a 500 has the traceback; it is not what is tested here.
    logging.getLogger("django.request").disabled = True
    yield Client(raise_request_exception=False)
    logging.getLogger("django.request").disabled = False


class _Kept(logging.Handler):
    """Keeps each line as it was when it was written: the request id belongs to the moment."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Return a function that returns the JSON lines the shop's own loggers have written."""
    kept = _Kept()
    logger = logging.getLogger("retail")
    logger.addHandler(kept)
    yield lambda: kept.lines
    logger.removeHandler(kept)
