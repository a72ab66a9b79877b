"""Superusers help colleagues who have lost their second factor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin

from accounts.second_factor import factor_remove

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet
    from django.http import HttpRequest


class FactorResetAdmin(UserAdmin):  # type: ignore[type-arg]
    """Adds the action that removes second factors."""

    actions = ("reset_second_factor",)

    def has_superuser_permission(self, request: HttpRequest) -> bool:
        """Return whether the user of the request is a superuser."""
        return request.user.is_active and request.user.is_superuser

    @admin.action(
        description="Remove the second factor, and log out everywhere", permissions=["superuser"]
    )
    def reset_second_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let the chosen users log in with their passwords, to set up a second factor again."""
        count = sum(factor_remove(user=user) for user in queryset.order_by("pk"))
        self.message_user(request, f"Second factors removed: {count}.", messages.SUCCESS)
