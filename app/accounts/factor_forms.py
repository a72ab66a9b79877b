"""Forms about the second factor."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import segno
from django import forms
from django.core import signing
from django.utils.functional import cached_property
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_otp.util import random_hex

from accounts.own_forms import OwnPasswordForm

if TYPE_CHECKING:
    from django.contrib.auth.models import User

LONGEST_ANSWER = 20_000  # characters of what a browser answers
SET_UP_SECONDS = 3600  # how long the page to set up an app is good for


class CodeForm(forms.Form):
    """Asks for a code of the app, or a recovery code."""

    code = forms.CharField(
        max_length=60,
        help_text="Six digits from your authenticator app, or one of your recovery codes.",
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "autofocus": True}),
    )


class RecoveryCodeForm(CodeForm):
    """Asks users without an app for a recovery code."""

    code = forms.CharField(
        label="Recovery code",
        max_length=60,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class PasskeyForm(forms.Form):
    """Takes the browser's answer of a passkey."""

    answer = forms.CharField(max_length=LONGEST_ANSWER, widget=forms.HiddenInput)


class AddPasskeyForm(OwnPasswordForm):
    """Asks for a passkey's name. The script adds the browser's answer."""

    name = forms.CharField(
        max_length=60,
        label="Name of the passkey",
        help_text="Such as “Laptop” or “Security key”.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    answer = forms.CharField(
        max_length=LONGEST_ANSWER, required=False, widget=forms.HiddenInput, initial=""
    )
    field_order = ("name", "password", "answer")


class SetUpForm(OwnPasswordForm):
    """Asks for the first code of an app. Its secret is in the form, and stored only with it."""

    key = forms.CharField(widget=forms.HiddenInput)
    code = forms.CharField(
        max_length=20,
        help_text="Six digits that the app shows.",
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )
    field_order = ("key", "code", "password")

    @property
    def _salt(self) -> str:
        return f"accounts.set_up:{self.request.user.pk}"

    def _sent(self) -> str | None:
        try:
            secret: str = signing.loads(
                self.data.get("key", ""), salt=self._salt, max_age=SET_UP_SECONDS
            )
        except signing.BadSignature:
            return None
        return secret

    @cached_property
    def secret(self) -> str:
        """Return the secret of the form that was sent; for a new or an old form, a new secret."""
        return self._sent() or random_hex(20)

    @property
    def signed_secret(self) -> str:
        """What the page sends back."""
        return signing.dumps(self.secret, salt=self._salt)

    def clean_key(self) -> str:
        """Refuse a form that was open for too long."""
        if self._sent() is None:
            self.add_error(None, "This page was open for too long. Scan the new code.")
        return self.secret

    @property
    def qr_code(self) -> str:
        """The address of an image that the app scans."""
        user: User | Any = self.request.user
        device = TOTPDevice(user=user, key=self.secret)
        return str(segno.make(device.config_url).svg_data_uri(scale=5, border=4, light="#fff"))

    @property
    def typed_secret(self) -> str:
        """The secret for apps that can't scan it, in groups of four."""
        text = base64.b32encode(bytes.fromhex(self.secret)).decode()
        return " ".join(text[start : start + 4] for start in range(0, len(text), 4))
