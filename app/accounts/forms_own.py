"""Forms with which users change what is theirs, after they give their password again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth import authenticate

from accounts.addresses import normalized, verified_address

if TYPE_CHECKING:
    from django.http import HttpRequest


class OwnPasswordForm(forms.Form):
    """Asks for the user's password. Guesses are limited as at the log-in."""

    password = forms.CharField(
        label="Your password",
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    def clean(self) -> dict[str, Any]:
        """Check the password of a form without other errors. Raises ThrottledError."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            name = self.request.user.get_username()
            user = authenticate(self.request, username=name, password=data["password"])
            if user is None or user.pk != self.request.user.pk:
                self.add_error("password", "That isn't your password.")
        return data


class ChangeEmailForm(OwnPasswordForm):
    """Asks for a new e-mail address."""

    email = forms.EmailField(
        label="New e-mail address",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    field_order = ("email", "password")

    def clean_email(self) -> str:
        """Refuse the present address, if it is verified."""
        address: str = self.cleaned_data["email"]
        present = verified_address(self.request.user)
        if present is not None and normalized(present) == normalized(address):
            raise forms.ValidationError("This is your address already.")
        return address
