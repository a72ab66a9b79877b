"""URLs of partner feeds: staff's desk."""

from django.urls import path

from partner_feeds import desk_ingestion, desk_upload, desk_views

app_name = "partner_feeds"
urlpatterns = [
    # Staff's desk. A partner's own pages come first: one may be called `files`.
    path("desk/feeds/", desk_views.partners, name="desk"),
    path("desk/feeds/list", desk_views.partners_list, name="desk_list"),
    path("desk/feeds/<slug:slug>/", desk_views.one_partner, name="desk_partner"),
    path("desk/feeds/<slug:slug>/upload/", desk_upload.upload, name="desk_upload"),
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
