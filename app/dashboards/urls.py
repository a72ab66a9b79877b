"""Addresses for staff. Alertmanager's POST to the first is answered by `dashboards.webhook`."""

from django.urls import path

from dashboards import views

app_name = "dashboards"
urlpatterns = [
    path("alerts/", views.alerts, name="alerts"),
    path("alerts/list/", views.alerts_list, name="alerts_list"),
    path("runbooks/", views.runbook_list, name="runbooks"),
    path("runbooks/<str:alert>/", views.runbook, name="runbook"),
]
