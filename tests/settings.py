"""The shop's settings in tests: those of development."""

import os

os.environ["DEBUG"] = "True"
# For the programs that tests start: this module is importable only here.
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"

from config.settings import *  # noqa: F403 - the environment comes first
