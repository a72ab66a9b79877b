"""URLs of checkout and orders."""

from django.urls import path

from orders import views

app_name = "orders"
urlpatterns = [
    path("checkout/", views.checkout, name="checkout"),
    path("orders/", views.history, name="history"),
    path("orders/<slug:reference>/", views.detail, name="detail"),
    path("orders/<slug:reference>/status/", views.status, name="status"),
]
