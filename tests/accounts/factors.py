"""An authenticator app for tests, and staff who have one."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from django.test import Client
from django_otp.oath import TOTP

from accounts.second_factor import app_add

if TYPE_CHECKING:
    import pytest

PASSWORD = "correct-horse-battery"
KEY = "3132333435363738393031323334353637383930"
BASE = "/accounts/second-factor/"
CHECK, SET_UP = f"{BASE}check/", f"{BASE}set-up/"
STEP = 30  # seconds


class Clock:
    """The time by which codes are made and checked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_800_000_000.0
        for place in ("accounts.second_factor", "django_otp.plugins.otp_totp.models"):
            monkeypatch.setattr(f"{place}.time", self)

    def time(self) -> float:
        """Return the time; stands in for the module `time`."""
        return self.now

    def code(self, key: str = KEY, steps: int = 0) -> str:
        """Return the code that the app shows now, or so many steps later."""
        totp = TOTP(bytes.fromhex(key))
        totp.time = self.now + steps * STEP
        return f"{totp.token():06}"


def make_staff(name: str = "stella") -> User:
    """Create a superuser."""
    return User.objects.create_superuser(name, f"{name}@example.com", PASSWORD)


def enrol(user: User, clock: Clock) -> list[str]:
    """Give the user an app, and let its first code grow old; return the recovery codes."""
    codes = app_add(user=user, key=KEY, code=clock.code(), may_replace=False)
    assert codes is not None
    clock.now += 2 * STEP
    return codes


def log_in(user: User, page: str = "/accounts/login/") -> Client:
    """Log in with the password alone."""
    client = Client()
    form = {"username": user.username, "password": PASSWORD}
    assert client.post(page, form).status_code == 302
    return client


def is_in(client: Client) -> bool:
    """Return whether a page for staff is shown."""
    return client.get("/admin/").status_code == 200


def secret_of(page: str) -> tuple[str, str]:
    """Return the secret that a page shows, in hexadecimal, and the field that it sends back."""
    shown = re.search(r"type this secret: <code>([A-Z2-7 ]+)</code>", page)
    sent = re.search(r'name="key" value="([^"]+)"', page)
    assert shown is not None
    assert sent is not None
    return base64.b32decode(shown[1].replace(" ", "")).hex(), sent[1]
