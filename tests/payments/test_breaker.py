from collections import Counter
from datetime import timedelta

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from pytest_django import DjangoAssertNumQueries

from payments import breaker, services
from payments.breaker import PROBE_SECONDS, BreakerOpenError
from payments.health import accepts_payments
from payments.health import breaker as health
from payments.models import CircuitBreaker
from retail.models import Metric
from retail.observability.rows.recorder import recorder
from tests.payments.support import Clock, fail, state
from tests.support import moved

pytestmark = pytest.mark.django_db(transaction=True)
TRANSITION = 'retail_circuit_breaker_transitions_total{{breaker="payments",to="{}"}}'


def test_it_stays_closed_below_the_limit_and_a_success_resets_the_count(clock: Clock) -> None:
    fail(4)
    assert (state(), CircuitBreaker.objects.get().failures) == ("closed", 4)
    breaker.report(breaker.acquire("caller"), succeeded=True)
    assert (state(), CircuitBreaker.objects.get().failures) == ("closed", 0)
    fail(4)
    assert state() == "closed"


def test_it_opens_at_the_limit_and_refuses_for_the_whole_reset_time(clock: Clock) -> None:
    with moved() as changes:
        fail(5)
        assert state() == "open"
        for passed, wait in ((0, 5), (0.5, 5), (4, 1), (0.4, 1)):
            clock.forward(passed)
            with pytest.raises(BreakerOpenError) as refused:
                breaker.acquire("caller")
            assert refused.value.retry_after == wait
    assert changes == {
        'retail_circuit_breaker_transitions_total{breaker="payments",to="open"}': 1,
        'retail_payment_attempts_total{outcome="short_circuited"}': 4,
        'retail_circuit_breaker_state{breaker="payments",state="closed"}': -1,
        'retail_circuit_breaker_state{breaker="payments",state="open"}': 1,
    }
    recorder.flush()
    transition = Metric.objects.get(metadata__transition=True)
    assert (transition.metric_type, transition.value) == ("circuit_breaker_state", 2)


def test_an_outage_is_one_opening_with_one_start_however_many_probes_fail(clock: Clock) -> None:
    fail(5)
    started = clock.now
    with moved() as changes:
        for number in range(60):
            clock.forward(5)
            probe = breaker.acquire(f"worker {number}")
            breaker.report(probe, succeeded=False)
            assert CircuitBreaker.objects.get().open_since == started
    assert changes[TRANSITION.format("half_open")] == 60
    assert TRANSITION.format("open") not in changes
    assert health(clock.now).detail.startswith("Opened 5 min ago.")
    clock.forward(5)
    breaker.report(breaker.acquire("the last"), succeeded=True)
    assert CircuitBreaker.objects.get().open_since is None
    clock.forward(60)
    fail(5)
    assert CircuitBreaker.objects.get().open_since == clock.now
    recorder.flush()
    rows = Metric.objects.filter(metadata__transition=True, metadata__state="OPEN")
    assert rows.count() == 2  # the two outages


def test_a_row_from_before_the_outages_start_was_stored_keeps_its_opening(clock: Clock) -> None:
    CircuitBreaker.objects.create(name="payments", state="open", failures=5, opened_at=clock.now)
    opened = clock.now
    clock.forward(30)
    breaker.report(breaker.acquire("worker"), succeeded=False)
    assert CircuitBreaker.objects.get().open_since == opened


def test_one_probe_runs_at_a_time_and_its_success_closes_the_breaker(clock: Clock) -> None:
    fail(5)
    clock.forward(5)
    probe = breaker.acquire("first")
    assert probe.probe
    assert state() == "half_open"
    with pytest.raises(BreakerOpenError) as refused:
        breaker.acquire("second")
    assert refused.value.retry_after == 1
    assert breaker.acquire("first").probe  # its holder may acquire it again
    breaker.report(probe, succeeded=True)
    assert state() == "closed"
    assert not breaker.acquire("second").probe


def test_a_failed_probe_reopens_it_for_the_whole_reset_time(clock: Clock) -> None:
    fail(5)
    clock.forward(5)
    breaker.report(breaker.acquire("first"), succeeded=False)
    assert state() == "open"
    with pytest.raises(BreakerOpenError) as refused:
        breaker.acquire("second")
    assert refused.value.retry_after == 5


def test_a_released_probe_is_available_at_once(clock: Clock) -> None:
    fail(5)
    clock.forward(5)
    breaker.release(breaker.acquire("first"))
    assert breaker.acquire("second").probe


def test_the_probe_of_a_dead_process_is_abandoned_and_its_late_report_ignored(
    clock: Clock,
) -> None:
    fail(5)
    clock.forward(5)
    dead = breaker.acquire("dead")
    clock.forward(PROBE_SECONDS - 0.1)
    with pytest.raises(BreakerOpenError):
        breaker.acquire("next")
    clock.forward(0.1)
    probe = breaker.acquire("next")
    breaker.report(dead, succeeded=False)
    breaker.release(dead)
    assert state() == "half_open"
    breaker.report(probe, succeeded=True)
    assert state() == "closed"


def test_reports_of_calls_that_began_before_it_opened_change_nothing(clock: Clock) -> None:
    early = [breaker.acquire(f"early {number}") for number in range(3)]
    fail(5)
    before = CircuitBreaker.objects.values().get()
    breaker.report(early[0], succeeded=True)
    breaker.report(early[1], succeeded=False)
    clock.forward(5)
    breaker.acquire("probe")
    half_open = CircuitBreaker.objects.values().get()
    breaker.report(early[2], succeeded=True)
    assert before["opened_at"] == half_open["opened_at"]
    assert CircuitBreaker.objects.values().get() == half_open


def test_reports_of_calls_that_began_before_it_opened_change_nothing_after_it_closed_again(
    clock: Clock,
) -> None:
    early = [breaker.acquire(f"early {number}") for number in range(6)]
    fail(5)
    clock.forward(5)
    breaker.report(breaker.acquire("probe"), succeeded=True)
    fail(1)
    closed = CircuitBreaker.objects.values().get()
    assert (closed["state"], closed["failures"]) == ("closed", 1)
    for permit in early[:5]:
        breaker.report(permit, succeeded=False)
    breaker.report(early[5], succeeded=True)
    assert CircuitBreaker.objects.values().get() == closed
    fail(4)
    assert state() == "open"


def test_a_success_that_began_before_it_opened_does_not_reset_the_count(clock: Clock) -> None:
    fail(1)
    early = breaker.acquire("early")
    assert early.failures == 1
    fail(4)
    clock.forward(5)
    breaker.report(breaker.acquire("probe"), succeeded=True)
    fail(4)
    breaker.report(early, succeeded=True)
    fail(1)
    assert state() == "open"


def test_the_report_of_an_earlier_outages_probe_is_ignored_by_the_same_holders_next(
    clock: Clock,
) -> None:
    fail(5)
    clock.forward(5)
    early = breaker.acquire("payment")
    clock.forward(PROBE_SECONDS)
    breaker.report(breaker.acquire("other"), succeeded=False)
    clock.forward(5)
    late = breaker.acquire("payment")
    breaker.report(early, succeeded=True)
    assert state() == "half_open"
    breaker.report(late, succeeded=True)
    assert state() == "closed"


def test_a_caller_that_may_not_probe_leaves_the_breaker_as_it_is(clock: Clock) -> None:
    fail(5)
    with pytest.raises(BreakerOpenError):
        breaker.acquire("later", may_probe=False)
    clock.forward(5)
    before = CircuitBreaker.objects.values().get()
    permit = breaker.acquire("later", may_probe=False)
    breaker.report(permit, succeeded=True)
    breaker.report(permit, succeeded=False)
    breaker.release(permit)
    assert CircuitBreaker.objects.values().get() == before
    assert breaker.acquire("now").probe


def test_acquiring_never_resets_an_existing_row(clock: Clock) -> None:
    CircuitBreaker.objects.create(
        name="payments", state="open", failures=5, opened_at=clock.now, version=7
    )
    before = CircuitBreaker.objects.values().get()
    with pytest.raises(BreakerOpenError):
        breaker.acquire("new process")
    assert CircuitBreaker.objects.values().get() == before


def test_a_successful_call_of_a_closed_breaker_costs_one_read_and_no_write(
    clock: Clock, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    breaker.acquire("creates the row")
    with django_assert_num_queries(1) as queries:
        permit = breaker.acquire("caller")
    assert queries[0]["sql"].startswith(("SELECT ", "EXECUTE breaker "))
    with django_assert_num_queries(0):
        breaker.report(permit, succeeded=True)


def test_a_concurrent_write_is_not_overwritten(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    permit = breaker.acquire("caller")
    real = breaker._compare_and_set
    interfered: list[bool] = []

    def write_first(row: CircuitBreaker, **changes: object) -> bool:
        if not interfered:
            interfered.append(True)
            current = CircuitBreaker.objects.get()
            assert real(current, failures=3)
        return real(row, **changes)

    monkeypatch.setattr(breaker, "_compare_and_set", write_first)
    breaker.report(permit, succeeded=False)
    assert CircuitBreaker.objects.get().failures == 4


Steps = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.booleans()),
        st.tuples(st.just("wait"), st.floats(0, 20, allow_nan=False)),
    ),
    max_size=40,
)


class AnyHistory(TestCase):
    @given(Steps)
    def test_it_opens_and_admits_calls_exactly_as_the_model_does(
        self, steps: list[tuple[str, bool | float]]
    ) -> None:
        """Compare with a minimal model of a breaker, one caller at a time."""
        clock = Clock()
        failures, opened_at = 0, None
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("payments.breaker.timezone.now", clock)
            CircuitBreaker.objects.all().delete()
            for step, value in steps:
                if step == "wait":
                    clock.forward(float(value))
                    continue
                admitted = opened_at is None or clock.now >= opened_at + timedelta(seconds=5)
                try:
                    permit = breaker.acquire("caller")
                except BreakerOpenError:
                    assert not admitted
                    continue
                assert admitted
                breaker.report(permit, succeeded=bool(value))
                probe = opened_at is not None
                failures = 0 if value else failures + 1
                if value:
                    opened_at = None
                elif probe or failures >= 5:
                    opened_at = clock.now
                assert state() == ("closed" if opened_at is None else "open")


def test_a_probe_has_longer_than_a_charge_can_take_with_its_retries() -> None:
    call = settings.GATEWAY_CONNECT_TIMEOUT + settings.GATEWAY_READ_TIMEOUT
    pauses = sum(
        1.5 * services.BACKOFF_SECONDS * 2**retry for retry in range(settings.GATEWAY_ATTEMPTS - 1)
    )
    assert settings.GATEWAY_ATTEMPTS * call + pauses < PROBE_SECONDS


def attempts() -> dict[str, float]:
    """Return how many payments found the breaker in which state since the last time."""
    recorder.flush()
    found = [row.metadata.get("attempts") for row in Metric.objects.order_by("pk")]
    Metric.objects.all().delete()
    return dict(sum((Counter(one) for one in found if one), Counter()))


def test_who_saw_the_same_open_breaker_gets_one_probe_and_each_is_recorded(clock: Clock) -> None:
    breaker.acquire("caller")
    assert attempts() == {"closed": 1}
    fail(5)
    with pytest.raises(BreakerOpenError):
        breaker.acquire("caller")
    assert attempts() == {"closed": 5, "open": 1}
    clock.forward(5)
    seen = CircuitBreaker.objects.get()
    assert breaker.acquire("first", seen).probe
    assert attempts() == {"half_open": 1}
    with pytest.raises(BreakerOpenError):
        breaker.acquire("second", seen)
    assert attempts() == {"half_open": 1}
    assert CircuitBreaker.objects.get().probe == "first"


def test_readiness_reports_refused_payments(clock: Clock) -> None:
    assert accepts_payments() == "ok"
    fail(5)
    assert accepts_payments() == "refused: the circuit breaker is open"
    clock.forward(5)
    assert breaker.acquire("probe")
    assert accepts_payments() == "ok"  # a payment is on its way
