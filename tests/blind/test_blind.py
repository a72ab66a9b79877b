"""No fault goes unnoticed: an alert reaches the receiver, and no page shows that all is well."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from drills.shoppers import Shopper
from tests.blind import conftest, surfaces
from tests.blind.faults import FAULTS, Fault
from tests.blind.traffic import traffic
from tests.running.support import wait_until

if TYPE_CHECKING:
    from tests.blind.stage import Notification, Stage

PATIENCE = 420  # seconds
ALL = os.environ.get("BLIND") == "all"
ADMIN = ("blind-admin", "a-password-for-tests")


@pytest.fixture(scope="session")
def staff(stage: Stage) -> Shopper:
    name, password = ADMIN
    stage.shop.manage(
        "create_admin", f"--username={name}", "--email=a@example.com", f"--password={password}"
    )
    shopper = Shopper(stage.shop.url)
    page = shopper.get("/accounts/login/")
    answer = shopper.submit(page, "/accounts/login/", username=name, password=password)
    assert answer.ok
    return shopper


def said_by(surface: str, staff: Shopper, fault: Fault) -> str | None:
    """Return what a surface says, or None while it shows that all is well, as it must not."""
    said = surfaces.ALL[surface](staff)
    return None if said.green and surface not in fault.not_shown_by else said.text


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if ALL or fault.in_ci], ids=lambda fault: fault.name
)
def test_a_fault_is_noticed(stage: Stage, staff: Shopper, fault: Fault) -> None:
    shopper = stage.shop.shopper()
    every = 60 / fault.visits_a_minute / stage.speed
    with traffic(shopper, fault.visitor, every):
        wait_until(lambda: not stage.firing() & fault.alerts, "the alerts of before to end")
        began, before = time.monotonic(), len(stage.receiver.received)

        def alerts() -> list[Notification]:
            new = stage.receiver.received[before:]
            return [each for each in new if each.name in fault.alerts and each.status == "firing"]

        fault.begin(stage)
        try:
            wait_until(alerts, f"one of {sorted(fault.alerts)}", PATIENCE)
            [first, *_] = alerts()
            after = (first.at - began) * stage.speed
            # The shop's own limits, such as the age of a heartbeat, are not divided by the speed.
            said = [
                wait_until(lambda s=surface: said_by(s, staff, fault), surface, PATIENCE)  # type: ignore[misc]
                for surface in surfaces.ALL
            ]
        finally:
            fault.end(stage)
    row = (
        f"{first.name} ({first.severity})",
        f"{after:.0f} s",
        *said,
    )
    conftest.rows.append((fault.name, *row))
