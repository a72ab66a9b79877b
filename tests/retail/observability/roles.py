"""Processes of a role that share metric files."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

COUNT = """
import sys
from retail.observability.prometheus import catalogue
catalogue.TELEMETRY_ERRORS.inc(float(sys.argv[1]), sink="rows")
catalogue.HTTP_IN_PROGRESS.inc()
catalogue.HTTP_DURATION.observe(0.3, view="v", method="GET", status="2xx")
print("counted", flush=True)
sys.stdin.read()
"""

SCRAPE = """
from retail.observability.prometheus import exposition
print(exposition.render("")[0].decode())
"""

ERRORS = 'retail_telemetry_errors_total{sink="rows"}'
ANSWERED = 'retail_http_request_duration_seconds_count{method="GET",status="2xx",view="v"}'
IN_PROGRESS = "retail_http_requests_in_progress"


class Role:
    """Processes that share a folder of metric files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}

    def run(self, script: str, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", script, *arguments],
            cwd=settings.BASE_DIR,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    @contextmanager
    def process(self, amount: int) -> Iterator[subprocess.Popen[str]]:
        """Run a process that has counted `amount` and keeps running."""
        with subprocess.Popen(
            [sys.executable, "-c", COUNT, str(amount)],
            cwd=settings.BASE_DIR,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "counted\n"
                yield process
            finally:
                process.kill()

    def scrape(self) -> dict[str, float]:
        lines = [line for line in self.run(SCRAPE).splitlines() if line and line[0] != "#"]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def numbers(self) -> tuple[float, float, float]:
        """Return telemetry errors, requests answered, and requests in progress."""
        scraped = self.scrape()
        assert not any("pid=" in name or "slot" in name for name in scraped)
        return scraped[ERRORS], scraped[ANSWERED], scraped[IN_PROGRESS]

    def slots(self) -> int:
        return len(list(self.folder.glob("slot*.lock")))
