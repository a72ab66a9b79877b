"""What an operator sets by hand: states of refunds, disputes; as JSON and with the page's forms."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.gateway_simulator.support import API, FAULTS, Call, Clock, Knobs

TOKEN = {"token": "dev-faults-token"}


def set_state(client: FlaskClient, refund_id: str, state: object) -> tuple[int, Any]:
    answer = client.post(f"/refunds/{refund_id}/state", json={"state": state}, headers=FAULTS)
    return answer.status_code, answer.get_json()


def status(client: FlaskClient) -> str:
    [row] = client.get("/v1/refunds", headers=API).get_json()["refunds"]
    return str(row["status"])


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_a_pending_refund_is_ended_by_hand_and_stays_so(
    charge: Call, refund: Call, client: FlaskClient, clock: Clock, knobs: Knobs, state: str
) -> None:
    charge()
    knobs(refund_pending_ms=1000, refund_late_fail_share=1)
    refund_id = refund().get_json()["refund_id"]
    code, row = set_state(client, refund_id, state)
    assert (code, row["status"]) == (200, state)
    assert row["reason"] == (None if state == "succeeded" else "set_by_operator")
    assert set_state(client, refund_id, state)[0] == 200
    clock.forward(60_000)
    assert status(client) == state  # what was planned is dropped
    kinds = [row["kind"] for row in client.get("/v1/changes", headers=API).get_json()["changes"]]
    assert kinds == ["refund.pending", f"refund.{state}"]


def test_a_refund_that_succeeded_can_only_fail(
    charge: Call, refund: Call, client: FlaskClient
) -> None:
    charge()
    refund_id = refund(amount="12.50").get_json()["refund_id"]
    code, answer = set_state(client, refund_id, "cancelled")
    assert (code, answer["error"]) == (409, "wrong_state")
    assert set_state(client, refund_id, "failed")[0] == 200
    assert refund("r2", "12.50").status_code == 200  # its amount was given back
    for state in ("succeeded", "cancelled"):  # both would refund more than the charge
        assert set_state(client, refund_id, state)[0] == 409


def test_bad_operations(charge: Call, refund: Call, client: FlaskClient) -> None:
    charge()
    charge("declined", token="tok_declined")
    refund_id = refund().get_json()["refund_id"]
    for state in ("pending", "", None, 1, ["failed"]):
        assert set_state(client, refund_id, state)[0] == 400
    assert set_state(client, "re_unknown", "failed")[0] == 404
    for is_open in (None, "true", 1):
        answer = client.post("/charges/k1/dispute", json={"open": is_open}, headers=FAULTS)
        assert answer.status_code == 400
    for key in ("unknown", "declined"):
        answer = client.post(f"/charges/{key}/dispute", json={"open": True}, headers=FAULTS)
        assert (answer.status_code, answer.get_json()["error"]) == (404, "not_found")


@pytest.mark.parametrize("headers", [{}, API])
def test_operations_need_the_faults_token(
    charge: Call, refund: Call, client: FlaskClient, headers: dict[str, str]
) -> None:
    charge()
    refund_id = refund().get_json()["refund_id"]
    for path, body in (
        (f"/refunds/{refund_id}/state", {"state": "failed"}),
        ("/charges/k1/dispute", {"open": True}),
    ):
        answer = client.post(path, json=body, headers=headers)
        assert (answer.status_code, answer.get_json()["error"]) == (401, "unauthorized")
    assert client.get("/v1/changes?after=1", headers=API).get_json() == {"changes": []}


def test_the_page_shows_refunds_and_sets_their_state(
    charge: Call, refund: Call, client: FlaskClient, knobs: Knobs
) -> None:
    assert "No refunds yet." in client.get("/").get_data(as_text=True)
    charge()
    knobs(refund_pending_ms=1000, key_life_ms=86_400_000)
    refund_id = refund(reference="<b>RF-1</b>").get_json()["refund_id"]
    html = client.get("/").get_data(as_text=True)
    for part in (
        f"<code>{refund_id}</code>",
        '<span class="badge pending">pending</span>',
        "&lt;b&gt;RF-1&lt;/b&gt;",
        "Faults on:</strong> Pending refunds, Forgotten keys.",
        'name="key_life_ms" value="86400000" min="0" max="86400000"',
    ):
        assert part in html, part
    form = {**TOKEN, "refund": refund_id, "action": "failed"}
    answer = client.post("/operation-form", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?changed")
    html = client.get("/?changed").get_data(as_text=True)
    assert "State changed." in html
    assert '<span class="badge failed">failed</span> <small>set_by_operator</small>' in html
    assert not re.search(rf"<option[^>]*{refund_id}", html)  # it has no further state
    assert client.post("/operation-form", data=form).status_code == 303  # sent twice: the same


def test_the_page_opens_and_closes_disputes(charge: Call, client: FlaskClient) -> None:
    charge()
    for action, shown in (("open", True), ("close", False)):
        form = {**TOKEN, "charge": "k1", "action": action}
        assert client.post("/operation-form", data=form).status_code == 303
        badge = '<span class="badge declined">disputed</span>'
        assert (badge in client.get("/").get_data(as_text=True)) is shown


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"token": "wrong"}, 401, "The faults token is wrong. Nothing was changed."),
        ({"action": "lost"}, 400, "state must be one of: succeeded, failed, cancelled. Nothing"),
        ({"action": "cancelled"}, 409, "A refund that is succeeded cannot become cancelled."),
        ({"refund": "re_x"}, 404, "No refund has this refund_id. Nothing was changed."),
        ({"action": "open", "charge": ""}, 400, "The charge&#39;s key is 1 to 64 characters"),
    ],
)
def test_a_refused_form_shows_the_page_again(
    charge: Call, refund: Call, client: FlaskClient, changes: dict[str, str], code: int, says: str
) -> None:
    charge()
    refund_id = refund().get_json()["refund_id"]
    form = {**TOKEN, "refund": refund_id, "charge": "k1", "action": "failed", **changes}
    answer = client.post("/operation-form", data=form)
    assert answer.status_code == code
    assert f'role="alert">{says}' in answer.get_data(as_text=True)
    assert status(client) == "succeeded"
