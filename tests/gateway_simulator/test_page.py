import threading
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.gateway_simulator.support import API, FAULTS, Call, Knobs, wait_until

CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def test_page_shows_ledger_and_knobs(charge: Call, client: FlaskClient, knobs: Knobs) -> None:
    knobs(latency_ms=250, garbage_share=0.5)
    for number in range(52):
        charge(f"key-{number}", amount="1000.10")
    charge("usd", currency="USD")
    charge("no", token="tok_declined", reference="<script>x</script>")
    client.post("/v1/charges/stop/cancel", headers=API)
    answer = client.get("/")
    html = answer.get_data(as_text=True)
    assert (answer.status_code, answer.headers["Content-Security-Policy"]) == (200, CSP)
    for part in (
        "52,005.20 EUR",
        "12.50 USD",
        "<dd>53",
        "<dt>Declined</dt><dd>1</dd>",
        "<dt>Cancelled</dt><dd>1</dd>",
        "Latency, Garbage responses",
        'name="latency_ms" value="250"',
        'name="garbage_share" value="0.5"',
        'name="hang_share" value="0"',
        "&lt;script&gt;",
    ):
        assert part in html, part
    assert html.count("<code>") == 50
    assert "<code>key-5</code>" in html
    assert "<code>key-4</code>" not in html
    assert "<script" not in html
    assert "style=" not in html
    with client.get("/static/gateway.css") as css:
        assert (css.status_code, css.mimetype) == (200, "text/css")


def test_page_counts_the_charges_that_are_held(app: Flask, knobs: Knobs) -> None:
    knobs(hold=True)
    held = app.extensions["gateway"].faults
    waiting = threading.Thread(target=held.hold, daemon=True)
    waiting.start()
    wait_until(lambda: held.held == 1)
    client = app.test_client()
    assert "Hold charges. Charges held: 1.</p>" in client.get("/").get_data(as_text=True)
    knobs(hold=False)
    waiting.join(60)
    assert "Charges held" not in client.get("/").get_data(as_text=True)


def test_page_of_an_empty_ledger(client: FlaskClient) -> None:
    assert "No charges yet." in client.get("/").get_data(as_text=True)


def form(**changes: str) -> dict[str, str]:
    names = ("decline", "error", "hang", "lost_answer", "garbage")
    shares = {f"{name}_share": "0" for name in names}
    return {**shares, "latency_ms": "0", "token": "dev-faults-token", **changes}


def test_form_sets_the_knobs(client: FlaskClient) -> None:
    answer = client.post("/faults-form", data=form(error_share="0.25", hold="on", off="on"))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?saved")
    state = client.get("/faults", headers=FAULTS).get_json()
    assert (state["error_share"], state["hold"], state["off"]) == (0.25, True, True)
    assert 'role="status"' in client.get("/?saved").get_data(as_text=True)
    client.post("/faults-form", data=form(error_share="0.25"))
    assert client.get("/faults", headers=FAULTS).get_json()["off"] is False
    client.post("/faults-form", data=form(error_share="9", minutes="x", action="reset"))
    assert client.get("/faults", headers=FAULTS).get_json()["error_share"] == 0.0


def test_form_sets_the_end_of_all_faults(client: FlaskClient) -> None:
    before = datetime.now(UTC)
    client.post("/faults-form", data=form(error_share="0.25", minutes="5"))
    state = client.get("/faults", headers=FAULTS).get_json()
    left = datetime.fromisoformat(state["until"]) - before
    assert timedelta(minutes=4.9) < left < timedelta(minutes=6)
    page = client.get("/").get_data(as_text=True)
    assert f'Errors, until <time datetime="{state["until"]}">' in page
    client.post("/faults-form", data=form(error_share="0.25"))  # empty: the end stays
    assert client.get("/faults", headers=FAULTS).get_json()["until"] == state["until"]


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"token": "wrong"}, 401, "The faults token is wrong. Nothing was changed."),
        ({"token": ""}, 401, "The faults token is wrong. Nothing was changed."),
        ({"latency_ms": "60001"}, 400, "latency_ms must be a whole number of milliseconds"),
        ({"latency_ms": ""}, 400, "latency_ms must be a whole number of milliseconds"),
        ({"hang_share": "0,5"}, 400, "hang_share must be a number from 0 to 1."),
        ({"hang_share": "nan"}, 400, "hang_share must be a number from 0 to 1."),
        ({"minutes": "soon"}, 400, "The minutes until all faults end must be a number, at most"),
        ({"minutes": "0"}, 400, "The minutes until all faults end must be a number, at most"),
        ({"minutes": "1441"}, 400, "The minutes until all faults end must be a number, at most"),
    ],
)
def test_form_with_an_error_shows_the_page_again(
    client: FlaskClient, changes: dict[str, str], code: int, says: str
) -> None:
    answer = client.post("/faults-form", data=form(error_share="0.25", **changes))
    html = answer.get_data(as_text=True)
    assert answer.status_code == code
    assert f'role="alert">{says}' in html
    assert 'name="error_share" value="0.25"' in html  # the submitted value is kept
    assert "dev-faults-token" not in html
    assert client.get("/faults", headers=FAULTS).get_json()["error_share"] == 0.0
