"""The breaker while the computer's clock is set back or forward."""

from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from payments import breaker
from payments.breaker import PROBE_SECONDS, BreakerOpenError
from payments.models import CircuitBreaker
from retail.clocks import Countdown
from tests.payments.support import Clock, fail, state

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = 3600.0
REST = 5


class Time:
    """The time that passes, and a wall clock that can be set."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.wall, self.passed = Clock(), 1000.0
        patched.setattr("payments.breaker.timezone.now", self.wall)
        patched.setattr("retail.clocks.monotonic", lambda: self.passed)

    def go_on(self, seconds: float) -> None:
        self.passed += seconds
        self.wall.forward(seconds)

    def set_clock(self, seconds: float) -> None:
        self.wall.forward(seconds)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def wait(holder: str) -> int | None:
    """Return the seconds to wait, or None if there is a permit."""
    try:
        breaker.acquire(holder)
    except BreakerOpenError as refused:
        return refused.retry_after
    return None


def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what this process has seen."""
    monkeypatch.setattr(breaker, "_rest", Countdown())
    monkeypatch.setattr(breaker, "_probing", Countdown())


@pytest.mark.parametrize("known", [True, False])
def test_set_back_an_hour_an_open_breaker_lets_a_probe_through(
    time: Time, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    fail(5)
    assert wait("buyer") == REST
    time.go_on(1)
    time.set_clock(-HOUR)
    if not known:
        new_process(monkeypatch)
    assert wait("buyer") is None
    breaker.report(breaker.acquire("buyer"), succeeded=False)
    assert wait("next") == REST
    time.go_on(REST)
    assert wait("next") is None


def test_set_back_a_little_it_rests_no_longer_than_ever(time: Time) -> None:
    fail(5)
    time.go_on(4)
    time.set_clock(-3)
    assert wait("buyer") == 1
    time.go_on(1)
    assert wait("buyer") is None


def test_set_back_before_a_process_asks_for_the_first_time(
    time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(5)
    new_process(monkeypatch)
    time.go_on(4)
    time.set_clock(-3)
    assert wait("buyer") == 4  # at most the rest, from the moment at which it was seen
    time.go_on(4)
    assert wait("buyer") is None


def test_set_forward_it_is_probed_early(time: Time) -> None:
    fail(5)
    time.set_clock(HOUR)
    assert wait("buyer") is None


@pytest.mark.parametrize("known", [True, False])
def test_set_back_an_hour_an_abandoned_probe_is_given_to_the_next(
    time: Time, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    fail(5)
    time.go_on(REST)
    assert wait("dead") is None
    assert wait("buyer") == 1
    time.set_clock(-HOUR)
    if not known:
        new_process(monkeypatch)
    assert wait("buyer") is None
    assert CircuitBreaker.objects.get().probe == "buyer"


def test_set_back_a_little_a_probe_lasts_no_longer_than_ever(time: Time) -> None:
    fail(5)
    time.go_on(REST)
    assert wait("dead") is None
    time.go_on(PROBE_SECONDS - 1)
    time.set_clock(1 - PROBE_SECONDS)
    assert wait("buyer") == 1
    time.go_on(1)
    assert wait("buyer") is None


def test_an_opening_by_a_machine_whose_clock_is_ahead_is_no_reason_to_probe(
    time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    time.set_clock(0.5)
    fail(5)
    time.set_clock(-0.5)
    new_process(monkeypatch)
    assert wait("buyer") == REST
    time.go_on(REST)
    assert wait("buyer") is None


def test_a_force_that_ends_later_than_any_can_is_over(time: Time) -> None:
    wait("creates the row")
    breaker.force(state="open", reason="because", minutes=240, by="anna", user_id=1)
    time.set_clock(-1)  # as another machine's may be
    assert CircuitBreaker.objects.get().is_forced
    assert wait("buyer") is not None
    time.set_clock(-HOUR)
    assert not CircuitBreaker.objects.get().is_forced
    assert wait("buyer") is None
    assert state() == "half_open"


Steps = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.sampled_from([0.5, 1, 2, 3, 5, 15])),
        st.tuples(st.just("set"), st.sampled_from([-HOUR, -15, -4, -1, -0.1, 0.1, 2, HOUR])),
        st.tuples(st.just("ask"), st.booleans()),
    ),
    max_size=30,
)


class AnyClock(TestCase):
    @given(Steps)
    def test_nobody_is_refused_for_longer_than_the_rest_or_a_probe(
        self, steps: list[tuple[str, float]]
    ) -> None:
        with pytest.MonkeyPatch.context() as patched:
            time = Time(patched)
            new_process(patched)
            patched.setattr(django_settings, "BREAKER_RESET_SECONDS", REST)
            CircuitBreaker.objects.all().delete()
            fail(5)
            opened, probed, asked = time.passed, 0.0, 0
            for step, value in steps:
                if step == "pass":
                    time.go_on(value)
                elif step == "set":
                    time.set_clock(value)
                elif (seconds := wait(f"caller-{(asked := asked + 1)}")) is None:
                    if value:  # the probe fails; else it is abandoned
                        breaker.report(breaker.acquire(f"caller-{asked}"), succeeded=False)
                        opened = time.passed
                    else:
                        probed = time.passed
                else:
                    assert 1 <= seconds <= REST
                    resting = state() == "open"
                    since, most = (opened, REST) if resting else (probed, PROBE_SECONDS)
                    assert time.passed - since < most
            time.go_on(timedelta(seconds=PROBE_SECONDS).total_seconds())
            assert wait("the last") is None
