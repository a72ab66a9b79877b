"""Forms of the account pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib.auth.forms import PasswordResetForm, UserCreationForm
from django.contrib.auth.models import User

from accounts.addresses import account_of
from accounts.emails import PASSWORD_RESET
from accounts.models import UserProfile
from retail.security.trail import record, subject_of
from retail.web.merging_forms import MergingForm
from retail.web.public_url import public_address

if TYPE_CHECKING:
    from django.http import HttpRequest


class RegisterForm(UserCreationForm):  # type: ignore[type-arg]
    """Registration of a new customer."""

    email = forms.EmailField(
        required=False,
        max_length=254,
        help_text="For your receipts, and for a new password if you forget yours.",
    )

    class Meta:
        model = User
        fields = ("username", "email")

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].widget.attrs["autocomplete"] = "username"
        self.fields["email"].widget.attrs["autocomplete"] = "email"


class OutboxPasswordResetForm(PasswordResetForm):
    """Asks for the address of an account, and leaves its e-mail to the worker."""

    def get_users(self, email: str) -> list[User]:
        """Return the account whose verified address this is, if it has a password."""
        user = account_of(email)
        return [user] if user is not None and user.has_usable_password() else []

    def save(self, *args: Any, **options: Any) -> None:
        """Write to the account's address, with links to the shop's public address."""
        request: HttpRequest | None = options.get("request")
        if request is not None:
            scheme, host = public_address(request)
            options |= {"domain_override": host, "use_https": scheme == "https"}
        super().save(*args, **options)

    def send_mail(self, *args: Any, **_options: Any) -> None:
        """Put the e-mail into the outbox; the link is made when it is sent."""
        context = args[2]
        record("reset_requested", user_id=None, subject=subject_of(context["user"]))
        PASSWORD_RESET.write(
            about=str(context["user"].pk), protocol=context["protocol"], domain=context["domain"]
        )


class ProfileForm(MergingForm):
    """A customer's delivery details."""

    class Meta:
        model = UserProfile
        fields = ("full_name", "phone", "address")
        widgets: ClassVar = {
            "full_name": forms.TextInput(attrs={"autocomplete": "name"}),
            "phone": forms.TextInput(attrs={"autocomplete": "tel", "type": "tel"}),
            "address": forms.Textarea(attrs={"rows": 3, "autocomplete": "street-address"}),
        }
