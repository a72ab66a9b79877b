"""Reading the gateway's ledger over HTTP, and what counts as no answer."""

import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
import requests
from django.utils import timezone
from pytest_django import Settings

from payments import gateway as client
from payments import selectors
from payments.gateway import Charge, NoAnswerError
from payments.refund_gateway import RefundStatus
from retail.audit.declare import NotCheckedError
from tests.gateway_simulator.support import FAULTS, Process


def charge(token: str = "tok_good", amount: str = "12.50") -> str:
    key = uuid.uuid4().hex
    client.charge(Charge(key, Decimal(amount), "EUR", token, "VT-TEST"))
    return key


def test_charges_are_returned_with_their_refunds(
    gateway: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, declined = charge(), charge("tok_declined", "3")
    cancelled = uuid.uuid4().hex
    client.cancel(cancelled)
    refund = {"charge_key": good, "amount": "2.50"}
    assert gateway.post("/v1/refunds", uuid.uuid4().hex, refund).status_code == 200
    monkeypatch.setattr(selectors, "KEYS", 2)
    charges = selectors.gateway_charges_of(keys=[good, declined, "unknown", cancelled])
    assert {
        key: (row.key, row.approved, row.amount, row.currency, row.refunded)
        for key, row in charges.items()
    } == {
        good: (good, True, Decimal("12.50"), "EUR", Decimal("2.50")),
        declined: (declined, False, Decimal(3), "EUR", Decimal(0)),
        cancelled: (cancelled, False, Decimal(0), "", Decimal(0)),
    }
    assert abs(charges[good].created_at - timezone.now()) < timedelta(minutes=1)
    assert charges[good].id < charges[declined].id < charges[cancelled].id


def test_charges_and_refunds_are_paged_by_id(
    gateway: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [charge() for _ in range(3)]
    for key in keys:
        body = {"charge_key": key, "amount": "1.00"}
        gateway.post("/v1/refunds", uuid.uuid4().hex, body)
    monkeypatch.setattr(selectors, "PAGE", 2)
    before = selectors.gateway_charges_of(keys=keys[:1])[keys[0]].id
    page = selectors.gateway_charges(after=before)
    assert [row.key for row in page] == keys[1:]
    assert selectors.gateway_charges(after=page[-1].id) == []
    last = 0
    refunded = []
    while refunds := selectors.gateway_refunds(after=last):
        assert len(refunds) <= 2
        refunded += [row.charge_key for row in refunds]
        last = refunds[-1].id
    assert refunded[-3:] == keys


def refund(gateway: Process, charge_key: str, key: str, reference: str = "RF-1") -> str:
    """Refund 1.00 at the gateway; return the refund's id there."""
    body = {"charge_key": charge_key, "amount": "1.00", "reference": reference}
    answer = gateway.post("/v1/refunds", key, body)
    return str(answer.json()["refund_id"])


def test_all_refunds_of_a_charge_are_found_under_any_key(
    gateway: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = charge(), charge()
    ids = [refund(gateway, one, uuid.uuid4().hex) for _ in range(2)]
    refund(gateway, other, uuid.uuid4().hex)
    gateway.knobs(refund_fail_share=1)
    ids.append(refund(gateway, one, uuid.uuid4().hex, "RF-2"))
    gateway.knobs()
    monkeypatch.setattr(selectors, "PAGE", 2)
    rows = selectors.gateway_refunds_of(charge_key=one)
    assert [row.refund_id for row in rows] == ids
    last = rows[-1]
    assert (last.status, last.reason) == (RefundStatus.FAILED, "rejected_by_bank")
    assert (last.reference, last.amount, last.currency) == ("RF-2", Decimal(1), "EUR")
    assert rows[0].reason == ""
    assert selectors.gateway_refunds_of(charge_key="unknown") == []
    assert selectors.gateway_charges_of(keys=[one])[one].refunded == Decimal(2)


def test_changes_are_paged_by_id(gateway: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    last = 0
    while page := selectors.gateway_changes(after=last):
        last = page[-1].id
    of, key = charge(), uuid.uuid4().hex
    refund_id = refund(gateway, of, key)
    for path, body in (
        (f"refunds/{refund_id}/state", {"state": "failed"}),
        (f"charges/{of}/dispute", {"open": True}),
    ):
        url = f"{gateway.url}/{path}"
        requests.post(url, json=body, headers=FAULTS, timeout=25).raise_for_status()
    monkeypatch.setattr(selectors, "PAGE", 2)
    changes: list[selectors.GatewayChange] = []
    while page := selectors.gateway_changes(after=changes[-1].id if changes else last):
        assert len(page) <= 2
        changes += page
    about = [(row.kind, row.charge_key, row.refund_id, row.refund_key) for row in changes]
    assert about == [
        ("refund.succeeded", of, refund_id, key),
        ("refund.failed", of, refund_id, key),
        ("dispute.opened", of, "", ""),
    ]
    assert [row.reference for row in changes] == ["RF-1", "RF-1", "VT-TEST"]
    assert abs(changes[0].created_at - timezone.now()) < timedelta(minutes=1)


@pytest.mark.parametrize("knob", [{"off": True}, {"latency_ms": 1500}])
def test_an_unreachable_or_slow_gateway_is_no_answer(
    gateway: Process, settings: Settings, knob: dict[str, object]
) -> None:
    settings.GATEWAY_READ_TIMEOUT = 0.3
    gateway.knobs(**knob)
    try:
        with pytest.raises(NoAnswerError):
            selectors.gateway_charges(after=0)
    finally:
        gateway.knobs()


def test_the_ledgers_position_is_read_on_from_where_it_was(
    gateway: Process, settings: Settings
) -> None:
    keys = [charge() for _ in range(3)]
    charges = selectors.gateway_charges_of(keys=keys)
    asked: list[int] = []
    read = selectors.gateway_charges

    def counted(*, after: int) -> list[selectors.GatewayCharge]:
        asked.append(after)
        return read(after=after)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(selectors, "PAGE", 2)
        patched.setattr(selectors, "gateway_charges", counted)
        position = selectors.gateway_ledger_position({})
        assert (position["gateway"], position["charge"]) == (
            settings.GATEWAY_NAME,
            charges[keys[2]].id,
        )
        asked.clear()
        assert selectors.gateway_ledger_position(position) == position
        assert asked == [position["charge"]]
        asked.clear()
        assert selectors.gateway_ledger_position({**position, "gateway": "other"}) == position
        assert asked[0] == 0  # another gateway counts on its own
    settings.GATEWAY_URL = "http://127.0.0.1:1"
    with pytest.raises(NotCheckedError, match="does not answer"):
        selectors.gateway_ledger_position(position)


def test_an_error_status_is_no_answer(gateway: Process, settings: Settings) -> None:
    settings.GATEWAY_API_KEY = "wrong"
    with pytest.raises(NoAnswerError, match="401"):
        selectors.gateway_charges(after=0)
    with pytest.raises(NoAnswerError, match="401"):
        selectors.gateway_refunds(after=0)
    with pytest.raises(NoAnswerError, match="401"):
        selectors.gateway_refunds_of(charge_key="k")
    with pytest.raises(NoAnswerError, match="401"):
        selectors.gateway_changes(after=0)


def test_an_empty_list_of_keys_makes_no_request(settings: Settings) -> None:
    settings.GATEWAY_URL = "http://127.0.0.1:1"
    assert selectors.gateway_charges_of(keys=[]) == {}
