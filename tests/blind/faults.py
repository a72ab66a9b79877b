"""The faults: how each is staged and ended, and what must report it."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.blind.stage import TOKENS, Stage
from tests.blind.traffic import Visitor, buy, visit

Act = Callable[[Stage], object]


@dataclass(frozen=True)
class Fault:
    """A fault, the visitors during it, and the alerts of which one must reach the receiver."""

    name: str
    begin: Act
    end: Act
    alerts: frozenset[str]
    visitor: Visitor = visit
    visits_a_minute: float = 3  # in the rules' time
    in_ci: bool = False
    # Surfaces that speak of sales only, which this fault does not affect.
    not_shown_by: frozenset[str] = frozenset()


def _signal(*names: str, number: signal.Signals) -> Act:
    def send(stage: Stage) -> None:
        for name in names:
            os.killpg(stage.shop.processes[name].pid, number)

    return send


def _database_processes(number: signal.Signals) -> Act:
    def send(stage: Stage) -> None:
        pid = int((stage.database.folder / "data/postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (pid, *map(int, children)):
            os.kill(each, number)

    return send


def _knobs(**knobs: object) -> Act:
    return lambda stage: stage.shop.gateway.knobs(**knobs)


def _fill_log_disk(stage: Stage) -> None:
    """Let each write to the log file fail as on a full disk."""
    log = stage.shop.folder / "logs/application.log"
    log.rename(log.with_suffix(".kept"))
    log.symlink_to("/dev/full")


def _free_log_disk(stage: Stage) -> None:
    log = stage.shop.folder / "logs/application.log"
    log.unlink()
    log.with_suffix(".kept").rename(log)


def _restart_worker(settings: str) -> Act:
    def restart(stage: Stage) -> None:
        stage.shop.end("worker", signal.SIGKILL)
        stage.shop.start("worker", DJANGO_SETTINGS_MODULE=settings)

    return restart


def _give_alertmanager(token: str) -> Act:
    """Change the token that Alertmanager sends to the shop."""
    return lambda stage: (stage.folder / "config/alertmanager/alerts_token").write_text(token)


FAULTS = (
    Fault(
        "database stopped",
        begin=lambda stage: stage.database.stop("immediate"),
        end=lambda stage: stage.database.start(),
        alerts=frozenset({"RetailDatabaseDown"}),
    ),
    Fault(
        "database hung",
        begin=_database_processes(signal.SIGSTOP),
        end=_database_processes(signal.SIGCONT),
        alerts=frozenset({"RetailDatabaseDown"}),
        in_ci=True,
    ),
    Fault(
        "worker stopped",
        begin=lambda stage: stage.shop.end("worker", signal.SIGKILL),
        end=lambda stage: stage.shop.start("worker"),
        alerts=frozenset({"RetailProbeFailing", "RetailTargetDown"}),
    ),
    Fault(
        "worker hung",
        begin=_signal("worker", number=signal.SIGSTOP),
        end=_signal("worker", number=signal.SIGCONT),
        alerts=frozenset({"RetailProbeFailing", "RetailTargetDown"}),
    ),
    Fault(
        "disk full for logs",
        begin=_fill_log_disk,
        end=_free_log_disk,
        alerts=frozenset({"RetailTelemetryFailing"}),
        not_shown_by=frozenset({"quality page", "/readyz"}),
    ),
    Fault(
        "gateway off",
        begin=_knobs(off=True),
        end=_knobs(),
        alerts=frozenset({"RetailCircuitBreakerOpen"}),
        visitor=buy,
        visits_a_minute=12,
        in_ci=True,
    ),
    Fault(
        "gateway hanging",
        begin=_knobs(hold=True),
        end=_knobs(),
        alerts=frozenset({"RetailCircuitBreakerOpen"}),
        visitor=buy,
        visits_a_minute=12,
    ),
    Fault(
        "gateway declining every card",
        begin=_knobs(decline_share=1),
        end=_knobs(),
        alerts=frozenset({"RetailLastAllFailed", "RetailPaymentSuccessLow"}),
        not_shown_by=frozenset({"/readyz"}),  # a bank declines; the shop is ready
        visitor=buy,
    ),
    Fault(
        "worker's clock an hour ahead",
        begin=_restart_worker("tests.blind.settings_ahead"),
        end=_restart_worker("tests.running.settings"),
        alerts=frozenset({"RetailClockWrong"}),
    ),
    Fault(
        "webhook cut",
        begin=_give_alertmanager("an-old-token"),
        end=_give_alertmanager(TOKENS["ALERTS_TOKEN"]),
        alerts=frozenset({"RetailNotificationsFailing"}),
        not_shown_by=frozenset({"quality page", "/readyz"}),
    ),
)
