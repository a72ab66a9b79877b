"""URLs of the partner feeds."""

from django.urls import path

from partner_feeds import desk_ingestion, desk_keys, desk_upload, desk_views, push

app_name = "partner_feeds"

# --- Of partners' programs, with a key ----------------------------------------------------------
push_urls = [
    path("feeds/<slug:slug>/", push.receive, name="push"),
    path("feeds/<slug:slug>/<slug:reference>/", push.status, name="pushed"),
]

# --- Staff's desk. Pages of a partner come first: one may be called `files` ---------------------
desk_urls = [
    path("desk/feeds/", desk_views.partners, name="desk"),
    path("desk/feeds/list", desk_views.partners_list, name="desk_list"),
    path("desk/feeds/<slug:slug>/", desk_views.one_partner, name="desk_partner"),
    path("desk/feeds/<slug:slug>/upload/", desk_upload.upload, name="desk_upload"),
    path("desk/feeds/<slug:slug>/keys/", desk_keys.keys, name="desk_keys"),
    path("desk/feeds/files/<slug:reference>/", desk_ingestion.one_ingestion, name="desk_ingestion"),
    path(
        "desk/feeds/files/<slug:reference>/progress",
        desk_ingestion.ingestion_progress,
        name="desk_progress",
    ),
    path(
        "desk/feeds/files/<slug:reference>/rejects.csv",
        desk_ingestion.rejects,
        name="desk_rejects",
    ),
]

urlpatterns = [*push_urls, *desk_urls]
