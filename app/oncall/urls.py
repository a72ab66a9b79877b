"""URLs of the staff pages. `oncall.webhook` handles Alertmanager's POST to the first one."""

from django.urls import path

from oncall import backups, views

app_name = "oncall"
urlpatterns = [
    path("alerts/", views.alerts, name="alerts"),
    path("alerts/list/", views.alerts_list, name="alerts_list"),
    path("backups/", backups.backups, name="backups"),
    path("runbooks/", views.runbook_list, name="runbooks"),
    path("runbooks/<str:alert>/", views.runbook, name="runbook"),
]
