"""Behaviour that needs a real process and a real socket."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
import requests

from gateway_simulator.faults import MOST_HELD
from tests.gateway_simulator.support import (
    ANSWER_SECONDS,
    API,
    APP,
    GOOD,
    Process,
    at_once,
    wait_until,
)


def row(process: Process, key: str) -> Any:
    rows = process.get("/v1/charges?limit=1000").json()["charges"]
    return {row["key"]: row for row in rows}.get(key)


def test_off_closes_the_connection(process: Process) -> None:
    process.knobs(off=True)
    with pytest.raises(requests.ConnectionError) as caught:
        process.post("/v1/charges", "off-1")
    assert not isinstance(caught.value, requests.Timeout)
    process.knobs()
    assert row(process, "off-1") is None


def test_lost_answer_is_charged_once(process: Process) -> None:
    process.knobs(lost_answer_share=1)
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            process.post("/v1/charges", "lost-1")
    process.knobs()
    answer = process.post("/v1/charges", "lost-1")
    assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (200, "true")
    assert row(process, "lost-1")["calls"] == 3


def test_lost_answer_on_a_kept_connection(process: Process) -> None:
    with requests.Session() as session:
        headers = {**API, "Idempotency-Key": "kept-1"}
        assert session.get(f"{process.url}/healthz", timeout=ANSWER_SECONDS).status_code == 200
        process.knobs(lost_answer_share=1)
        with pytest.raises(requests.ConnectionError):
            session.post(
                f"{process.url}/v1/charges", json=GOOD, headers=headers, timeout=ANSWER_SECONDS
            )
    process.knobs()
    assert row(process, "kept-1")["status"] == "approved"


def test_hang_charges_nothing_and_frees_its_thread(process: Process) -> None:
    process.knobs(hang_share=1)

    def hang(number: int) -> None:
        headers = {**API, "Idempotency-Key": f"hang-{number}"}
        with pytest.raises(requests.ReadTimeout):
            requests.post(
                f"{process.url}/v1/charges",
                json=GOOD,
                headers=headers,
                timeout=(ANSWER_SECONDS, 0.5),
            )

    at_once(40, hang)
    # More callers than threads: if a disconnect did not free the thread, this would wait for 30
    # seconds and fail before.
    assert not [key for key in range(40) if row(process, f"hang-{key}")]
    process.knobs()


def test_held_charges_wait_and_leave_threads_for_their_release(
    process: Process,
) -> None:
    process.knobs(hold=True)
    with ThreadPoolExecutor(MOST_HELD + 1) as pool:
        answers = [
            pool.submit(process.post, "/v1/charges", f"hold-{number}")
            for number in range(MOST_HELD + 1)
        ]
        wait_until(lambda: process.held() == MOST_HELD)
        [refused] = wait(answers, 60, FIRST_COMPLETED).done
        assert refused.result().json() == {
            "error": "too_many_held",
            "message": "16 charges are already held.",
        }
        assert not [key for key in range(MOST_HELD + 1) if row(process, f"hold-{key}")]
        process.knobs()
    codes = Counter(answer.result().status_code for answer in answers)
    assert codes == {200: MOST_HELD, 503: 1}
    assert process.held() == 0


def test_garbage_is_not_json(process: Process) -> None:
    process.knobs(garbage_share=1)
    answer = process.post("/v1/charges", "garbage-1")
    process.knobs()
    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert row(process, "garbage-1")["status"] == "approved"


def test_many_callers_with_few_keys(process: Process) -> None:
    answers = at_once(48, lambda number: process.post("/v1/charges", f"many-{number % 4}"))
    assert Counter(answer.status_code for answer in answers) == {200: 48}
    assert len({answer.text for answer in answers}) == 4
    assert [row(process, f"many-{number}")["calls"] for number in range(4)] == [12] * 4


def test_chunked_body_over_the_limit(process: Process) -> None:
    pieces = iter([b" " * 40_000, b" " * 40_000])
    headers = {**API, "Idempotency-Key": "chunked-1"}
    answer = requests.post(
        f"{process.url}/v1/charges", data=pieces, headers=headers, timeout=ANSWER_SECONDS
    )
    assert (answer.status_code, answer.json()["error"]) == (413, "body_too_large")


def test_kill_directly_after_the_response(tmp_path: Path) -> None:
    gateway = Process(tmp_path).start()
    try:
        for number in range(2):
            answer = gateway.post("/v1/charges", f"kill-{number}")
            os.kill(gateway.worker(), signal.SIGKILL)  # gunicorn restarts it
            assert answer.json()["status"] == "approved"
        gateway.kill()
    finally:
        gateway.stop()
    gateway = Process(tmp_path).start()
    try:
        rows = gateway.get("/v1/charges").json()["charges"]
    finally:
        gateway.stop()
    assert [(row["key"], row["status"]) for row in rows] == [
        (f"kill-{number}", "approved") for number in range(2)
    ]


def test_every_line_is_json_without_secrets(tmp_path: Path) -> None:
    env = {"LOG_LEVEL": "DEBUG", "GATEWAY_HOST": "127.0.0.1", "GATEWAY_API_KEY": "dev-gateway-key"}
    gateway = Process(tmp_path, env).start()
    gateway.post("/v1/charges", "log-1")
    gateway.get("/healthz")
    gateway.knobs(lost_answer_share=1)
    with pytest.raises(requests.ConnectionError):
        gateway.post("/v1/charges", "log-2")
    gateway.stop()
    lines = gateway.lines()
    records = [json.loads(line) for line in lines]
    keys = {"timestamp", "level", "logger", "message", "request_id", "extra"}
    assert all(set(record) == keys for record in records)
    assert {"gunicorn.error", "gateway_simulator"} <= {record["logger"] for record in records}
    assert "gunicorn.access" not in {record["logger"] for record in records}
    events = [record for record in records if record["message"] == "event=gateway.charge"]
    assert [
        (e["extra"]["key"], e["extra"]["outcome"], e["extra"]["http_status"]) for e in events
    ] == [
        ("log-1", "ok", 200),
        ("log-2", "lost_answer", None),
    ]
    assert sorted((tmp_path / "logs" / "gateway.log").read_text().splitlines()) == sorted(
        line.rstrip("\n") for line in lines
    )
    text = "".join(lines)
    for secret in ("tok_good", "dev-gateway-key", "dev-faults-token"):
        assert secret not in text


def run(
    folder: Path, arguments: list[str], env: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    files = {"GATEWAY_LEDGER": str(folder / "l.sqlite3"), "LOG_DIR": str(folder / "logs")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=APP,
        env={"PATH": os.environ["PATH"], "DEBUG": "True", **files, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"GATEWAY_PORT": "eighty"}, "GATEWAY_PORT='eighty' must be"),
        ({"GATEWAY_LEDGER": "{folder}"}, "cannot be used as the ledger"),
        ({"LOG_DIR": "/dev/null/logs"}, "LOG_DIR"),
    ],
)
def test_bad_settings_exit_with_one_line_and_2(
    tmp_path: Path, env: dict[str, str], says: str
) -> None:
    filled = {name: value.format(folder=tmp_path) for name, value in env.items()}
    done = run(tmp_path, ["-m", "gateway_simulator"], filled)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_default_secrets_on_a_public_host_are_warned_about(tmp_path: Path) -> None:
    code = (
        "import types, gateway_simulator.__main__ as start\n"
        "start.Server = lambda chosen: types.SimpleNamespace(run=lambda: None)\n"
        "start.main()\n"
    )
    for host, names in (
        ("0.0.0.0", ["GATEWAY_API_KEY", "GATEWAY_FAULTS_TOKEN"]),  # noqa: S104 - nothing is bound
        ("127.0.0.1", []),
    ):
        done = run(tmp_path, ["-c", code], {"GATEWAY_HOST": host})
        records = [json.loads(line) for line in done.stdout.splitlines()]
        assert (done.returncode, done.stderr) == (0, "")
        assert [record["extra"]["variable"] for record in records] == names
        assert {record["level"] for record in records} <= {"WARNING"}
