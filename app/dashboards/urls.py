"""URLs of the dashboard, its CSV download and the metrics API."""

from django.urls import path

from dashboards import views

app_name = "dashboards"
urlpatterns = [
    path("dashboard/", views.page, name="dashboard"),
    path("dashboard/news/", views.poll, name="dashboard_poll"),
    path("dashboard/csv/", views.download, name="dashboard_csv"),
    path("api/", views.api, name="api"),
]
