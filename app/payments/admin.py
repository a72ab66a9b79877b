"""The circuit breaker in the admin: to look at, and for those who may to force it for a while."""

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

FACTS = ("state_shown", "forced", "failures", "opened_at", "probe_until")
NOW = ("Now", {"fields": FACTS})
FORCE = ("Force it", {"fields": ("force_to", "reason", "minutes")})


@admin.register(CircuitBreaker)
class CircuitBreakerAdmin(ReadOnlyAdmin):
    form = ForceForm
    list_display = ("name", *FACTS)
    ordering = ("name",)
    readonly_fields = FACTS

    @admin.display(description="state")
    def state_shown(self, breaker: CircuitBreaker) -> str:
        return str(breaker.state_now.label)

    @admin.display(description="forced")
    def forced(self, breaker: CircuitBreaker) -> str:
        if breaker.forced_until is None or breaker.force_is_over:
            return "no"
        until = f"{breaker.forced_until:%H:%M %Z}"
        by, reason = breaker.forced_by, breaker.forced_reason
        return f"forced {breaker.forced_state} until {until} by {by}: {reason}"

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        # What those who have it may change is in the form, and of this one breaker.
        known = not isinstance(obj, CircuitBreaker) or obj.name == NAME
        return known and admin.ModelAdmin.has_change_permission(self, request, obj)

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
        said, user = form.cleaned_data, request.user
        if said["force_to"] == AUTOMATIC:
            breaker_unforce(user_id=user.pk)
            told = "It is automatic again."
        else:
            until = breaker_force(
                state=said["force_to"],
                reason=said["reason"],
                minutes=said["minutes"],
                by=user.get_username(),
                user_id=user.pk,
            )
            told = f"Forced {said['force_to']} until {until:%H:%M %Z}."
        obj.refresh_from_db()  # for those who name it after this
        messages.success(request, told)

    def construct_change_message(  # type: ignore[override] # Django takes a sentence, too
        self, request: HttpRequest, form: ForceForm, formsets: Any, add: bool = False
    ) -> str:
        said = form.cleaned_data
        if said["force_to"] == AUTOMATIC:
            return "Handed back to automatic."
        return f"Forced {said['force_to']} for {said['minutes']} min: {said['reason']}"
