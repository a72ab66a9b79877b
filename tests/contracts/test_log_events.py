"""docs/logging.md lists every event that the shop logs."""

import re
from pathlib import Path

from django.conf import settings

APP = Path(settings.BASE_DIR)
EVENT = re.compile(r'"event=([a-z_]+\.[a-z_.]+)"')


def logged() -> set[str]:
    """Return the events in the shop's code, without the gateway simulator."""
    files = [path for path in APP.rglob("*.py") if "gateway_simulator" not in path.parts]
    return {event for path in files for event in EVENT.findall(path.read_text("utf-8"))}


def test_every_event_is_documented() -> None:
    page = (APP.parent / "docs" / "logging.md").read_text("utf-8")
    assert {"http.request", "payment.settled", "job.done"} <= logged()
    assert {event for event in logged() if f"`{event}`" not in page} == set()
