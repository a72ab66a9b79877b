"""The shop's settings, with jobs that are running when the worker is stopped."""

from config.settings import INSTALLED_APPS
from tests.running.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.running.signalled"]
