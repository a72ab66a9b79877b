"""The circuit breaker in the admin: to look at."""

from django.contrib import admin

from payments.models import CircuitBreaker
from retail.admin import ReadOnlyAdmin


@admin.register(CircuitBreaker)
class CircuitBreakerAdmin(ReadOnlyAdmin):
    list_display = ("name", "state", "failures", "opened_at", "probe_until")
    ordering = ("name",)
