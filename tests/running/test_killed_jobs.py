"""Failing and killed jobs on a running worker: counted, logged, and seen by its probe."""

from typing import Any

import requests

from tests.running.conftest import OpenShop
from tests.running.support import wait_until

TASKS = ("hang", "hang_deaf", "die")
SETTINGS = "tests.running.killed.settings"
SET_BACK = """
from datetime import timedelta
from django.db.models import F
from retail.models import JobSuccess
JobSuccess.objects.filter(task="always_fail").update(at=F("at") - timedelta(minutes=2))
"""


def test_a_run_ended_from_outside_has_failed(open_shop: OpenShop) -> None:
    shop = open_shop(DJANGO_SETTINGS_MODULE=SETTINGS)
    shop.start("worker")

    def runs(task: str, outcome: str) -> float:
        name = f'retail_jobs_total{{outcome="{outcome}",task="{task}"}}'
        return shop.metric(name, shop.worker_port)

    assert [runs(task, "failed") for task in TASKS] == [0, 0, 0]
    for task in (*TASKS, "live"):
        shop.run(
            f"from tests.running.killed import tasks\n"
            f"from retail.observability.context import request_context\n"
            f"with request_context('for-{task}'):\n"
            f"    tasks.{task}.enqueue()"
        )
        outcome = "succeeded" if task == "live" else "failed"
        wait_until(lambda t=task, o=outcome: runs(t, o), f"{task} to be counted")  # type: ignore[misc]
    assert [runs(task, "failed") for task in TASKS] == [1, 1, 1]
    assert [runs(task, "succeeded") for task in TASKS] == [0, 0, 0]
    assert runs("live", "failed") == 0
    logged = [
        (line["message"], line["level"], line["extra"]["task"], line["request_id"])
        for line in shop.log("logs/application.log")
        if line["extra"].get("task") in {*TASKS, "live"}
    ]
    assert logged == [
        ("event=job.failed", "ERROR", "hang", "for-hang"),
        ("event=job.killed", "ERROR", "hang_deaf", "for-hang_deaf"),
        ("event=job.killed", "ERROR", "die", "for-die"),
        ("event=job.done", "INFO", "live", "for-live"),
    ]


def test_a_worker_whose_job_stands_still_is_not_ready(open_shop: OpenShop) -> None:
    shop = open_shop(DJANGO_SETTINGS_MODULE=SETTINGS)
    shop.start("web", "worker")
    age = 'retail_job_last_success_timestamp_seconds{task="always_fail"}'

    def ready(port: int) -> tuple[int, Any]:
        answer = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=30)
        return answer.status_code, answer.json()

    wait_until(lambda: ready(shop.worker_port)[0] == 200, "the worker to be ready")
    checks = {"database": "ok", "migrations": "ok", "worker": "ok", "jobs": "ok", "payments": "ok"}
    assert ready(shop.worker_port)[1] == {"status": "ready", "checks": checks}
    due = shop.metric(age)
    shop.run(SET_BACK)
    checks["jobs"] = "no recent success of always_fail: see the worker's log"
    assert ready(shop.worker_port) == (503, {"status": "unavailable", "checks": checks})
    assert ready(shop.port) == (200, {"status": "degraded", "checks": checks})
    for port in (shop.port, shop.worker_port):
        wait_until(lambda p=port: shop.metric(age, p) == due - 120, "the gauge")  # type: ignore[misc]
        assert shop.metric('retail_job_most_age_seconds{task="always_fail"}', port) == 120
