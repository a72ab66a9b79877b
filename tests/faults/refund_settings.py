"""The shop's settings with the app that stops processes at the steps of a refund."""

from config.settings import INSTALLED_APPS as SHOP_APPS
from tests.running.settings import *  # noqa: F403

INSTALLED_APPS = [*SHOP_APPS, "tests.faults.refund_stops.RefundStopsConfig"]
ROOT_URLCONF = "tests.faults.refund_urls"
