"""Profiles in the admin."""

from django.contrib import admin

from accounts.models import UserProfile


@admin.register(UserProfile)
class UserProfileAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("user", "full_name")
    list_select_related = ("user",)
    search_fields = ("user__username", "full_name")
    raw_id_fields = ("user",)
