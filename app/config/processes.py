"""Metric files for roles that run as several processes.

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
