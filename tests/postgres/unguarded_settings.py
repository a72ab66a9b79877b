"""The shop's settings, and the app that takes away what keeps stock from being sold twice."""

from config.settings import INSTALLED_APPS as THE_SHOPS
from tests.running.settings import *  # noqa: F403

INSTALLED_APPS = [*THE_SHOPS, "tests.postgres.unguarded.UnguardedConfig"]
