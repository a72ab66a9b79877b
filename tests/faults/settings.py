"""The shop's settings, and the app that stops its processes at a chosen step."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as THE_SHOPS

INSTALLED_APPS = [*THE_SHOPS, "tests.faults.stops.StopsConfig"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # many customers, quickly
