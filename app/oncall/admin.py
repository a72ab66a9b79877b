"""Read-only admin of received alerts."""

from django.contrib import admin

from oncall.models import Alert, LostAlerts
from retail.admin import ReadOnlyAdmin, recent


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ("starts_at", "name", "severity", "service", "status", "ends_at", "updated_at")
    list_filter = ("status", "origin", recent("updated_at"))
    search_fields = ("name__startswith",)
    search_help_text = "Searches by the beginning of the alert's name"


@admin.register(LostAlerts)
class LostAlertsAdmin(ReadOnlyAdmin):
    list_display = ("at", "reason", "count", "detail")
    list_filter = ("reason", recent("at"))
