"""URLs of the partner feeds."""

from django.urls import path

from partner_feeds import push

app_name = "partner_feeds"

# --- Of partners' programs, with a key ----------------------------------------------------------
push_urls = [
    path("feeds/<slug:slug>/", push.receive, name="push"),
    path("feeds/<slug:slug>/<slug:reference>/", push.status, name="pushed"),
]

urlpatterns = [*push_urls]
