"""URLs of the cart."""

from django.urls import path

from cart import views

app_name = "cart"
urlpatterns = [
    path("", views.view, name="view"),
    path("add/", views.add, name="add"),
    path("update/", views.update, name="update"),
]
