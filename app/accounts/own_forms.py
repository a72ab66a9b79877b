"""Forms with which users change what is theirs, after they give their password again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth.forms import PasswordChangeForm

from accounts.addresses import normalized, verified_address

if TYPE_CHECKING:
    from django.http import HttpRequest


def is_own_password(request: HttpRequest, password: str) -> bool:
    """Return whether it is the password of the request's user. Raises ThrottledError."""
    user = authenticate(request, username=request.user.get_username(), password=password)
    return user is not None and user.pk == request.user.pk


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
        if not self.errors and not is_own_password(self.request, data["password"]):
            self.add_error("password", "That isn't your password.")
        return data


class PasswordForm(PasswordChangeForm):
    """Django's form for a new password. Guesses of the old one are limited as at the log-in."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    def clean_old_password(self) -> str:
        """Refuse a wrong old password. Raises ThrottledError."""
        password: str = self.cleaned_data["old_password"]
        if not is_own_password(self.request, password):
            raise forms.ValidationError(
                self.error_messages["password_incorrect"], code="password_incorrect"
            )
        return password


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
