"""Addresses for staff. Alertmanager's POST to the first is answered by `dashboards.webhook`."""

from django.urls import path

from dashboards import dashboard, views

app_name = "dashboards"
urlpatterns = [
    path("dashboard/", dashboard.page, name="dashboard"),
    path("dashboard/news/", dashboard.news, name="dashboard_news"),
    path("dashboard/csv/", dashboard.download, name="dashboard_csv"),
    path("api/", dashboard.api, name="api"),
    path("alerts/", views.alerts, name="alerts"),
    path("alerts/list/", views.alerts_list, name="alerts_list"),
    path("runbooks/", views.runbook_list, name="runbooks"),
    path("runbooks/<str:alert>/", views.runbook, name="runbook"),
]
