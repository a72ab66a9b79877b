"""The circuit breaker in the admin: read-only, unless the user may force it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages

from payments.breaker import NAME
from payments.forms import AUTOMATIC, ForceForm
from payments.models import CircuitBreaker
from payments.services import breaker_force, breaker_unforce
from retail.admin import ReadOnlyAdmin

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

STATE_FIELDS = ("current_state", "forced", "failures", "open_since", "opened_at", "probe_until")
NOW = ("Current state", {"fields": STATE_FIELDS})
FORCE = ("Force the breaker", {"fields": ("force_to", "reason", "minutes", "seen")})


@admin.register(CircuitBreaker)
class CircuitBreakerAdmin(ReadOnlyAdmin):
    form = ForceForm
    list_display = ("name", *STATE_FIELDS)
    ordering = ("name",)
    readonly_fields = STATE_FIELDS

    @admin.display(description="state")
    def current_state(self, breaker: CircuitBreaker) -> str:
        return str(breaker.state_now.label)

    @admin.display(description="forced")
    def forced(self, breaker: CircuitBreaker) -> str:
        if breaker.forced_until is None or breaker.force_is_over:
            return "no"
        until = f"{breaker.forced_until:%H:%M %Z}"
        by, reason = breaker.forced_by, breaker.forced_reason
        return f"forced {breaker.forced_state} until {until} by {by}: {reason}"

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        # Only the breaker in use can be forced, and only through the form.
        in_use = not isinstance(obj, CircuitBreaker) or obj.name == NAME
        return in_use and admin.ModelAdmin.has_change_permission(self, request, obj)

    def get_fieldsets(self, request: HttpRequest, obj: CircuitBreaker | None = None) -> Any:
        return [NOW, FORCE] if self.has_change_permission(request, obj) else [NOW]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["show_save_and_continue"] = False
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(
        self, request: HttpRequest, obj: CircuitBreaker, form: ForceForm, change: bool
    ) -> None:
        data, user = form.cleaned_data, request.user
        if data["force_to"] == AUTOMATIC:
            breaker_unforce(user_id=user.pk)
            text = "The breaker is automatic again."
        else:
            until = breaker_force(
                state=data["force_to"],
                reason=data["reason"],
                minutes=data["minutes"],
                by=user.get_username(),
                user_id=user.pk,
            )
            text = f"Forced {data['force_to']} until {until:%H:%M %Z}."
        obj.refresh_from_db()  # Django's message shows the new state
        messages.success(request, text)

    def construct_change_message(  # type: ignore[override] # Django accepts a string too
        self, request: HttpRequest, form: ForceForm, formsets: Any, add: bool = False
    ) -> str:
        data = form.cleaned_data
        if data["force_to"] == AUTOMATIC:
            return "Returned to automatic."
        return f"Forced {data['force_to']} for {data['minutes']} min: {data['reason']}"
