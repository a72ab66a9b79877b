"""Superusers help colleagues who have lost their second factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

from accounts.second_factor import app_of, codes_left, factors_reset, passkeys_of

if TYPE_CHECKING:
    from datetime import datetime

    from django.contrib.auth.models import User
    from django.db.models import QuerySet
    from django.http import HttpRequest


def _use(added: datetime, used: datetime | None) -> str:
    """Return in words when a factor was added and last used."""
    last = f"last used {used:%Y-%m-%d %H:%M}" if used else "never used"
    return f"added {added:%Y-%m-%d}, {last}"


class FactorResetAdmin(UserAdmin):  # type: ignore[type-arg]
    """Shows second factors, and adds the action that removes them."""

    actions = ("reset_second_factor",)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Show superusers which second factors a user has."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not self.has_superuser_permission(request):
            return fieldsets
        return (*fieldsets, ("Second factor", {"fields": ("app", "passkeys", "recovery_codes")}))

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Return what nobody can change here."""
        fields = super().get_readonly_fields(request, obj)
        return (*fields, "app", "passkeys", "recovery_codes")

    @admin.display(description="Authenticator app")
    def app(self, user: User) -> str:
        """Return when the app was set up and last used."""
        device = app_of(user)
        return _use(device.created_at, device.last_used_at) if device else "none"

    @admin.display(description="Passkeys")
    def passkeys(self, user: User) -> str:
        """Return a line for each passkey."""
        rows = passkeys_of(user)
        lines = ((row.name, _use(row.created_at, row.last_used_at)) for row in rows)
        return format_html_join(mark_safe("<br>"), "{}: {}", lines) or "none"

    @admin.display(description="Recovery codes left")
    def recovery_codes(self, user: User) -> int:
        """Return how many recovery codes are left."""
        return codes_left(user)

    def has_superuser_permission(self, request: HttpRequest) -> bool:
        """Return whether the user of the request is a superuser."""
        return request.user.is_active and request.user.is_superuser

    @admin.action(
        description="Remove the second factor, and log out everywhere", permissions=["superuser"]
    )
    def reset_second_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let the chosen users log in with their passwords, to set up a second factor again."""
        count = sum(factors_reset(user=user) for user in queryset.order_by("pk"))
        self.message_user(request, f"Second factors removed: {count}.", messages.SUCCESS)
