"""The shop's settings, with jobs that are ended from outside."""

from config.settings import INSTALLED_APPS, Q_CLUSTER
from tests.running.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.running.killed"]
Q_CLUSTER = {**Q_CLUSTER, "timeout": 1, "retry": 36_000}  # none runs a second time
