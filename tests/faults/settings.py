"""The shop's settings, and the app that stops its processes at a chosen step."""

from config.settings import INSTALLED_APPS as THE_SHOPS
from tests.running.settings import *  # noqa: F403

INSTALLED_APPS = [*THE_SHOPS, "tests.faults.stops.StopsConfig"]
