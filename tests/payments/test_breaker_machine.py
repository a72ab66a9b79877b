"""Compare the breaker with a minimal model under any history of callers, operators and time."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from payments import breaker, metrics
from payments.breaker import PROBE_SECONDS, BreakerOpenError, Permit
from payments.models import CircuitBreaker
from tests.payments.support import Clock

FAIL_MAX, RESET_SECONDS = 5, 5
# The only transitions allowed.
TRANSITIONS = {
    ("closed", "open"),  # failures, or an operator
    ("open", "half_open"),  # the reset time or the force has expired
    ("half_open", "closed"),  # the probe succeeded, or an operator
    ("half_open", "open"),  # the probe failed, or an operator
    ("open", "closed"),  # an operator
}
BY_OPERATOR = ("open", "closed")


@dataclass
class Model:
    """The breaker's expected state."""

    state: str = "closed"
    failures: int = 0
    opened_at: datetime | None = None
    open_since: datetime | None = None  # only a closed breaker ends the outage
    probe: Permit | None = None
    probe_until: datetime | None = None
    forced_until: datetime | None = None

    def end_force(self) -> None:
        """Return to automatic."""
        self.state = "half_open" if self.state == "open" else "closed"
        self.failures, self.forced_until = 0, None

    def note_outage(self, now: datetime) -> None:
        """Start the outage when the breaker has opened, and end it when it has closed."""
        self.open_since = None if self.state == "closed" else self.open_since or now

    def admits(self, holder: str, now: datetime) -> bool:
        """Whether `holder` gets a permit now."""
        if self.state == "closed":
            return True
        if self.forced_until is not None:
            return False
        if self.state == "open":
            assert self.opened_at is not None
            return now >= self.opened_at + timedelta(seconds=RESET_SECONDS)
        held = self.probe is not None and self.probe_until is not None and now < self.probe_until
        return not held or (self.probe is not None and self.probe.holder == holder)


class Machine(RuleBasedStateMachine):
    """Drives the breaker and the model with the same events."""

    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        CircuitBreaker.objects.all().delete()
        self.model = Model()
        self.clock = Clock()
        self.states = ["closed"]
        self.began: dict[int, datetime | None] = {}  # the last opening when a permit was acquired
        self.patched = pytest.MonkeyPatch()
        self.patched.setattr("payments.breaker.timezone.now", self.clock)
        self.patched.setattr(metrics, "record_transition", self.record_transition)
        self.patched.setattr("django.conf.settings.BREAKER_FAIL_MAX", FAIL_MAX)
        self.patched.setattr("django.conf.settings.BREAKER_RESET_SECONDS", RESET_SECONDS)

    def teardown(self) -> None:
        self.patched.undo()

    def record_transition(self, _breaker: str, old: str, to: str, _failures: int) -> None:
        assert old == self.states[-1]
        self.states.append(to)

    def end_expired_force(self) -> None:
        """End an expired force in the model, as the next call does in the shop."""
        until = self.model.forced_until
        if until is not None and until <= self.clock.now:
            self.model.end_force()

    @initialize()
    def no_row_exists_yet(self) -> None:
        assert not CircuitBreaker.objects.exists()

    @rule(seconds=st.sampled_from([0.5, 1, 4, 5, PROBE_SECONDS, 59.5, 60]))
    def wait(self, seconds: float) -> None:
        self.clock.forward(seconds)

    @rule(target=permits, holder=st.sampled_from("abc"))
    def acquire(self, holder: str) -> object:
        self.end_expired_force()
        model, now = self.model, self.clock.now
        if not model.admits(holder, now):
            with pytest.raises(BreakerOpenError) as refused:
                breaker.acquire(holder)
            assert 1 <= refused.value.retry_after <= RESET_SECONDS
            return multiple()
        permit = breaker.acquire(holder)
        assert permit.probe == (model.state != "closed")
        if permit.probe:
            same = model.state == "half_open" and model.probe and model.probe.holder == holder
            if not same:
                model.probe_until = now + timedelta(seconds=PROBE_SECONDS)
            model.state, model.probe = "half_open", permit
        self.began[id(permit)] = model.opened_at
        return permit

    @rule(permit=consumes(permits), succeeded=st.booleans())
    def report(self, permit: Permit, succeeded: bool) -> None:
        breaker.report(permit, succeeded=succeeded)
        if succeeded and not permit.probe and not permit.failures:
            return  # nothing to report
        self.end_expired_force()
        model = self.model
        if model.forced_until is not None or self.began[id(permit)] != model.opened_at:
            return
        if permit.probe and model.state == "half_open" and self.is_prober(permit):
            model.state = "closed" if succeeded else "open"
        elif permit.probe or model.state != "closed":
            return
        model.failures = 0 if succeeded else model.failures + 1
        if model.failures >= FAIL_MAX:
            model.state = "open"
        if model.state == "open":
            model.opened_at = self.clock.now
        model.note_outage(self.clock.now)
        model.probe = model.probe_until = None

    @rule(permit=consumes(permits))
    def release(self, permit: Permit) -> None:
        breaker.release(permit)
        if permit.probe:
            self.end_expired_force()
            if self.model.state == "half_open" and self.is_prober(permit):
                self.model.probe = self.model.probe_until = None

    def is_prober(self, permit: Permit) -> bool:
        return self.model.probe is not None and self.model.probe.holder == permit.holder

    @rule(to=st.sampled_from(BY_OPERATOR), minutes=st.sampled_from([1, 2]))
    def force(self, to: str, minutes: int) -> None:
        until = breaker.force(state=to, reason="because", minutes=minutes, by="anna", user_id=1)
        self.end_expired_force()
        model = self.model
        assert until == self.clock.now + timedelta(minutes=minutes)
        if to == "open" and model.state != "open":
            model.opened_at = self.clock.now
        model.state, model.forced_until = to, until
        model.failures = 0 if to == "closed" else model.failures
        model.note_outage(self.clock.now)
        model.probe = model.probe_until = None

    @precondition(lambda self: self.model.forced_until is not None)
    @rule()
    def unforce(self) -> None:
        self.end_expired_force()
        forced = self.model.forced_until is not None
        assert breaker.unforce(user_id=1) == forced
        if forced:
            self.model.end_force()

    @invariant()
    def the_row_matches_the_model(self) -> None:
        row, model = CircuitBreaker.objects.first(), self.model
        if row is None:
            assert model == Model()
            return
        expired = model.forced_until is not None and model.forced_until <= self.clock.now
        state_after = "half_open" if model.state == "open" else "closed"
        assert row.state_now == (state_after if expired else model.state)
        assert (row.state, row.failures, row.forced_until) == (
            model.state,
            model.failures,
            model.forced_until,
        )
        assert row.probe == (model.probe.holder if model.probe else "")
        assert (row.probe_until, row.opened_at) == (model.probe_until, model.opened_at)
        assert row.open_since == model.open_since

    @invariant()
    def every_transition_is_allowed_and_recorded(self) -> None:
        assert set(zip(self.states, self.states[1:], strict=False)) <= TRANSITIONS
        assert self.states[-1] == self.model.state


@pytest.mark.django_db(transaction=True)
def test_the_breaker_matches_the_model_under_any_history() -> None:
    run_state_machine_as_test(
        Machine,
        settings=hypothesis_settings(max_examples=60, stateful_step_count=40),
    )
