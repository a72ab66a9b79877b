"""What differs between web, worker and commands: metric files, and how long the database may take.

A single process keeps metrics in memory. Several share a folder of memory-mapped files, one set per
slot (see `retail.observability.prometheus.slots`). prometheus_client reads the folder from an
environment variable, which must be set before it is imported.
"""

import os
import shutil
from pathlib import Path

from config import env


def use_metric_files(role: str) -> None:
    """Create an empty folder for the metric files of `role` and set it for prometheus_client.

    Counters restart at zero with the role, as they do in a single process.
    """
    var = env.folder("VAR_DIR", Path(__file__).resolve().parent.parent.parent / "var")
    folder = env.folder("METRIC_FILES_DIR", var / "metrics") / role
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


# Seconds, unless the environment says otherwise. A request of a buyer must not wait longer; a job
# has 170 s in all.
_LIMITS = {
    "web": {"DATABASE_LOCK_TIMEOUT": "5", "DATABASE_STATEMENT_TIMEOUT": "6"},
    "worker": {"DATABASE_LOCK_TIMEOUT": "10", "DATABASE_STATEMENT_TIMEOUT": "60"},
}


def limit_database_waits(role: str) -> None:
    """Set the limits of `role`, before the settings are imported."""
    for name, seconds in _LIMITS[role].items():
        os.environ[name] = os.environ.get(name, "").strip() or seconds
    # The C library waits 5 s for each name server, twice, and nothing can end that from outside.
    os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:2")
