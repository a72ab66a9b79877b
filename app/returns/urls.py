"""URLs of returns and refunds: the customer's, and staff's desk."""

from django.urls import path

from returns import desk_order, desk_refund, desk_views, views

app_name = "returns"
urlpatterns = [
    path("orders/<slug:reference>/return/", views.request_return, name="request"),
    path("orders/<slug:reference>/cancel/", views.cancel, name="cancel"),
    path("desk/returns/", desk_views.queue, name="desk"),
    path("desk/returns/refunds/<slug:reference>/", desk_refund.refund, name="desk_refund"),
    path("desk/returns/orders/<slug:reference>/", desk_order.order, name="desk_order"),
    path("desk/returns/<slug:reference>/", desk_views.one_return, name="desk_return"),
]
