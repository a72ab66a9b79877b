"""The shop's settings, with a password hash that costs nothing: tests make many customers."""

from config.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
