"""Odd bytes in every place that a client of the gateway writes: refused, never a failure."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import bytes as odd
from tests.gateway_simulator.support import API, FAULTS, GOOD

CALLS = (
    *(("GET", path) for path in ("/", "/healthz", "/metrics", "/faults", "/static/gateway.css")),
    *(("GET", path) for path in ("/v1/charges", "/v1/charges/k1", "/v1/refunds", "/nowhere")),
    *(("POST", path) for path in ("/v1/charges", "/v1/refunds", "/v1/charges/k1/cancel")),
    *(("POST", path) for path in ("/refunds/re_1/state", "/charges/k1/dispute")),
    *(("GET", "/v1/changes"), ("POST", "/operation-form"), ("POST", "/faults-form")),
    *(("PUT", "/faults"), ("DELETE", "/faults"), ("BREW", "/")),
)
FORM = "application/x-www-form-urlencoded"
VALUES = tuple(value.encode("latin-1") for value in odd.ODD)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "amount",
    "currency",
    "token",
    "reference",
    "charge_key",
    "state",
    "open",
    "off",
    "hold",
    "latency_ms",
    "x",
)


def status(client: FlaskClient, method: str, path: str, **sent: Any) -> int:
    """Send a request with the secret that the path needs; return the answer's status."""
    secret = API if path.startswith("/v1/") else FAULTS
    environ = {
        "HTTP_AUTHORIZATION": secret["Authorization"],
        "HTTP_IDEMPOTENCY_KEY": "k1",
        **sent.pop("environ", {}),
    }
    answer = client.open(path, method=method, environ_overrides=environ, **sent)
    answer.close()  # a static file stays open otherwise
    return answer.status_code


def test_odd_headers(client: FlaskClient) -> None:
    every = [*odd.parsed(), *odd.headers(), *(("HTTP_COOKIE", value) for value in odd.cookies())]
    every += [("HTTP_IDEMPOTENCY_KEY", value) for value in (*odd.ODD, "", "k" * 65, "\xb2")]
    for number, (name, value) in enumerate(every):
        for method, path in (CALLS[number % len(CALLS)], ("POST", "/v1/charges"), ("GET", "/")):
            answer = status(client, method, path, json=GOOD, environ={name: value})
            assert answer < 500, (method, path, name, value)


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_odd_queries_and_bodies(client: FlaskClient, method: str, path: str) -> None:
    quoted = [value.decode("latin-1") for value in VALUES]
    for value, text in zip(VALUES, quoted, strict=True):
        bodies = (
            value,
            b"token=" + value,
            b'{"amount": "' + value + b'"}',
            json.dumps(text).encode(),
        )
        for body in bodies:
            for kind in (FORM, "application/json", f"{FORM}; charset=utf-7", "multipart/form-data"):
                answer = status(client, method, path, data=body, content_type=kind)
                assert answer < 500, (body, kind)
        query = {
            "environ": {"QUERY_STRING": f"after={text}&limit={text}&key={text}&charge_key={text}"}
        }
        assert status(client, method, path, **query) < 500, text


def test_odd_paths(client: FlaskClient) -> None:
    for value in odd.ODD:
        for path in (
            f"/v1/charges/{value}",
            f"/v1/charges/{value}/cancel",
            f"/charges/{value}/dispute",
            f"/refunds/{value}/state",
            f"/{value}",
            "/static/",
        ):
            for method in ("GET", "POST"):
                secret = API if path.startswith("/v1/") else FAULTS
                environ = {"PATH_INFO": path, "HTTP_AUTHORIZATION": secret["Authorization"]}
                assert status(client, method, "/v1/charges", environ=environ) < 500, path


def test_odd_parts_of_multipart_bodies(client: FlaskClient) -> None:
    kind = "multipart/form-data; boundary=fuzz"
    for part in odd.PARTS:
        body = b"--fuzz\r\n" + part + b"\r\n--fuzz--\r\n"
        for cut in (body, body[: len(body) // 2], body[:-1]):
            assert status(client, "POST", "/faults-form", data=cut, content_type=kind) < 500, part


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(
        (
            *(("POST", path) for path in ("/v1/charges", "/v1/refunds", "/charges/k1/dispute")),
            *(("POST", "/refunds/re_1/state"), ("PUT", "/faults")),
        )
    ),
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4),
)
def test_odd_json(client: FlaskClient, call: tuple[str, str], changes: dict[str, Any]) -> None:
    fields = changes if call[1] == "/faults" else {**GOOD, **changes}
    assert status(client, *call, data=json.dumps(fields), content_type="application/json") < 500
    client.delete("/faults", headers=FAULTS)
