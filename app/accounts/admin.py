"""Users and their customer profiles in the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db import transaction

from accounts.models import UserProfile
from accounts.services import users_lock

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest

# Read-only in the admin, but deleted along with their user.
DELETED_WITH_USER = {"cart", "cart item"}


class UserProfileInline(admin.StackedInline):  # type: ignore[type-arg]
    model = UserProfile
    can_delete = False


admin.site.unregister(User)


@admin.register(User)
class ShopUserAdmin(UserAdmin):  # type: ignore[type-arg]
    inlines = (UserProfileInline,)

    def get_inlines(self, request: HttpRequest, obj: User | None) -> Any:
        # The page that adds a user has only a username and a password.
        return super().get_inlines(request, obj) if obj else ()

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        users_lock(ids=[obj.pk])
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        ids = list(queryset.values_list("pk", flat=True))
        users_lock(ids=ids)
        super().delete_queryset(request, User.objects.filter(pk__in=ids))

    def user_change_password(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with transaction.atomic():  # in which the row is locked: all its columns are written
            return super().user_change_password(request, *args, **kwargs)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        to_delete, counts, perms_needed, protected = super().get_deleted_objects(objs, request)
        return to_delete, counts, perms_needed - DELETED_WITH_USER, protected


@admin.register(UserProfile)
class UserProfileAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("user", "full_name", "phone")
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email", "full_name", "phone")
    raw_id_fields = ("user",)
