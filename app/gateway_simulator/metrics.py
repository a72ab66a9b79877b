"""Prometheus metrics with fixed label values; all series exist from the start."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from gateway_simulator.knobs import KNOBS, State
from gateway_simulator.refund_records import KINDS

_PLAIN = ("ok", "refused", "failed")  # below 400, 4xx, real 5xx
# Injected by a fault knob.
_INJECTED = ("off", "error", "hang", "lost_answer", "garbage", "trickle")
OUTCOMES: dict[str, tuple[str, ...]] = {
    "charge": (*_PLAIN, "declined", "cancelled", *_INJECTED),
    "refund": (*_PLAIN, *_INJECTED),
    "cancel": (*_PLAIN, "off"),
    "status": (*_PLAIN, "off"),
    "ledger": (*_PLAIN, "off"),
    "refunds": (*_PLAIN, "off"),
    "changes": (*_PLAIN, "off"),
    "refund_state": _PLAIN,
    "dispute": _PLAIN,
    "operation_form": _PLAIN,
    "faults": _PLAIN,
    "faults_form": _PLAIN,
    "page": _PLAIN,
    "health": _PLAIN,
    "metrics": _PLAIN,
    "other": (*_PLAIN, "off"),
}
CHARGE_STATUSES = ("approved", "declined", "cancelled")
# tok_slow takes 1.5 s, a hang 30 s, latency up to 60 s, a hold up to 300 s.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The metrics of one gateway, in a separate registry."""

    def __init__(self, held: Callable[[], int]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # theirs has no annotation
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "gateway_requests_total",
            "Requests by operation and outcome.",
            ["operation", "outcome"],
            registry=self.registry,
        )
        self._duration = Histogram(
            "gateway_request_duration_seconds",
            "Duration of requests, answered or not, including injected delays.",
            ["operation"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._faults = Gauge(
            "gateway_fault_active",
            "1 if the fault is on, else 0.",
            ["fault"],
            registry=self.registry,
        )
        Gauge(
            "gateway_charges_held",
            "Charges currently held.",
            registry=self.registry,
        ).set_function(held)
        self._charges = Counter(
            "gateway_charges_total",
            "Charges added to the ledger by this process, by status.",
            ["status"],
            registry=self.registry,
        )
        self._changes = Counter(
            "gateway_changes_total",
            "Changes of refunds' states and of disputes recorded by this process, by kind.",
            ["kind"],
            registry=self.registry,
        )
        self._initialise()

    def _initialise(self) -> None:
        for operation, outcomes in OUTCOMES.items():
            self._duration.labels(operation)
            for outcome in outcomes:
                self._requests.labels(operation, outcome)
        for status in CHARGE_STATUSES:
            self._charges.labels(status)
        for kind in KINDS:
            self._changes.labels(kind)
        self.show_faults(State())

    def request(self, operation: str, outcome: str, seconds: float) -> None:
        """Count a finished request; ``operation`` and ``outcome`` are from OUTCOMES."""
        self._requests.labels(operation, outcome).inc()
        self._duration.labels(operation).observe(seconds)

    def recorded(self, status: str) -> None:
        """Count a new charge in the ledger."""
        self._charges.labels(status).inc()

    def changed(self, kind: str) -> None:
        """Count a change of a refund's state or of a dispute."""
        self._changes.labels(kind).inc()

    def show_faults(self, state: State) -> None:
        """Set the gauges of all faults."""
        knobs = state.as_dict()
        for knob in KNOBS:
            self._faults.labels(knob.fault).set(1 if knobs[knob.name] else 0)
