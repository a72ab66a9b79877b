"""URLs of the quality scenarios."""

from django.urls import path

from quality import views

app_name = "quality"
urlpatterns = [
    path("quality-scenarios/", views.scenarios, name="scenarios"),
    path("quality-scenarios/list/", views.scenarios_list, name="scenarios_list"),
    path("quality-scenarios.json", views.scenarios_json, name="scenarios_json"),
]
