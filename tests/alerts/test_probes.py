"""The blackbox exporter asks a real server, with the rendered configuration."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import requests
import yaml

from alerts import build, render
from tests.alerts.test_render import PRODUCTION
from tests.running.support import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.left_out import LeaveOut

JOBS = yaml.safe_load((build.ROOT / "prometheus/prometheus.yml").read_text("utf-8"))
[JOB] = [job for job in JOBS["scrape_configs"] if job["job_name"] == "blackbox"]
MODULES = {it["labels"]["probe"]: it["labels"]["__param_module"] for it in JOB["static_configs"]}


@contextmanager
def server(answer: int | None) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Serve every request with a status; None never answers. Yields address and requests."""
    asked: list[tuple[str, str, str]] = []
    end = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host, proto = self.headers["Host"], self.headers.get("X-Forwarded-Proto", "")
            asked.append((self.command, host, proto))
            if answer is None:
                end.wait()
            self.send_response(answer or 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815 - http.server's name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Log nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/", asked
    finally:
        end.set()
        running.shutdown()
        running.server_close()


@pytest.fixture(scope="module")
def blackbox(left_out: LeaveOut, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the exporter, and return its address."""
    name = "prometheus-blackbox-exporter"
    program = shutil.which(name) or shutil.which("blackbox_exporter")
    if program is None:
        left_out(
            "blackbox_exporter",
            "the probes from outside are not tested with the exporter itself",
            f"sudo apt-get install --no-install-recommends {name}",
        )
    folder: Path = tmp_path_factory.mktemp("blackbox")
    render.write(render.rendered(render.read(PRODUCTION)), folder)
    address = f"127.0.0.1:{free_port()}"
    file = folder / "blackbox/blackbox.yml"
    process = subprocess.Popen(
        [program, f"--config.file={file}", f"--web.listen-address={address}"],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _is_healthy(address), "the exporter")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


def _is_healthy(address: str) -> bool:
    try:
        return requests.get(f"http://{address}/-/healthy", timeout=5).ok
    except requests.RequestException:
        return False


def success(blackbox: str, target: str, module: str) -> bool:
    """Return `probe_success`."""
    params = {"target": target, "module": module}
    text = requests.get(f"http://{blackbox}/probe", params=params, timeout=60).text
    [value] = re.findall(r"^probe_success ([01])$", text, re.MULTILINE)
    return bool(value == "1")


def test_there_is_a_probe_for_the_page_for_web_and_for_worker() -> None:
    assert MODULES == {"home": "page", "web": "health", "ready": "health", "worker": "health"}


@pytest.mark.parametrize(
    ("module", "answer", "expected"),
    [
        ("page", 200, True),
        ("page", 301, True),
        ("page", 500, False),
        ("page", 503, False),
        ("page", 400, False),
        ("page", None, False),
        ("health", 200, True),
        ("health", 301, False),
        ("health", 503, False),
        ("health", None, False),
    ],
)
def test_a_probe_succeeds_only_with_an_answer(
    blackbox: str, module: str, answer: int | None, *, expected: bool
) -> None:
    with server(answer) as (address, asked):
        assert success(blackbox, address, module) == expected
    if module == "page":
        assert asked == [("HEAD", "shop.example.com", "https")]
    else:
        assert [method for method, _, _ in asked] == ["GET"]


def test_a_probe_of_nobody_fails(blackbox: str) -> None:
    assert not success(blackbox, f"http://127.0.0.1:{free_port()}/", "health")
