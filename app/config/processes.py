"""Metric files, for roles that run as several processes.

One process keeps its numbers in memory. Several share a folder of memory-mapped files, one set a
slot (see `retail.observability.prometheus.slots`). prometheus_client finds the folder through an
environment variable that must be set before it is imported.
"""

import os
import shutil
from pathlib import Path

from config import env


def use_metric_files(role: str) -> None:
    """Give `role` an empty folder for its metric files and tell prometheus_client of it.

    Counters start at zero with the role, as they do for a single process; Prometheus expects that.
    """
    var = env.folder("VAR_DIR", Path(__file__).resolve().parent.parent.parent / "var")
    folder = env.folder("METRIC_FILES_DIR", var / "metrics") / role
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
