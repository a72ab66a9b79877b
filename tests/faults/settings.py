"""The shop's settings with the app that stops processes at chosen steps."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as SHOP_APPS

INSTALLED_APPS = [*SHOP_APPS, "tests.faults.stops.StopsConfig"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast, for many customers
