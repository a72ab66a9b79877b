"""The shop's settings with the app that disables its stock checks."""

from config.settings import INSTALLED_APPS as SHOP_APPS
from tests.running.settings import *  # noqa: F403

INSTALLED_APPS = [*SHOP_APPS, "tests.postgres.unguarded.UnguardedConfig"]
