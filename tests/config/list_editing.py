"""URLs of an admin site with an editable list; the shop has none yet."""

from typing import Any

from django.contrib import admin
from django.urls import include, path

from config.admin_site import ShopAdminSite
from products.models import Product


class EditableList(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "price", "description", "is_active")
    list_editable = ("price", "description", "is_active")
    ordering = ("name",)


site = ShopAdminSite(name="admin")
site.register(Product, EditableList)
urlpatterns: list[Any] = [path("admin/", site.urls), path("", include("config.urls"))]
