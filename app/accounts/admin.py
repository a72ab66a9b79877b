"""Users and their customer profiles in the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django_otp.plugins.otp_totp.admin import TOTPDevice

from accounts.address_emails import changed_by_staff
from accounts.factor_admin import FactorResetAdmin
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


# Nobody reads the secrets of others' second factors.
admin.site.unregister([User, Group, TOTPDevice])
# What makes somebody staff, or says what they may do.
RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")


def _may_edit(request: HttpRequest, user: object) -> bool:
    """Return whether the user of the request may edit this account, or any at all.

    Who sets the password or the e-mail address of a staff account can log in with its rights, so
    these are for superusers. All others change their own password on the page for that.
    """
    visitor = request.user
    return visitor.is_active and (
        visitor.is_superuser
        or not (isinstance(user, User) and (user.is_staff or user.is_superuser))
    )


@admin.register(User)
class ShopUserAdmin(FactorResetAdmin):
    inlines = (UserProfileInline,)

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return _may_edit(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return _may_edit(request, obj) and super().has_delete_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, *RIGHTS)

    def get_inlines(self, request: HttpRequest, obj: User | None) -> Any:
        # The page that adds a user has only a username and a password.
        return super().get_inlines(request, obj) if obj else ()

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if "email" in form.changed_data:
            changed_by_staff(request, obj, former=form.initial.get("email") or "")

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


@admin.register(Group)
class ShopGroupAdmin(GroupAdmin):
    # Everyone else may only view groups.
    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return self.has_add_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return self.has_add_permission(request)


@admin.register(UserProfile)
class UserProfileAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("user", "full_name", "phone")
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email", "full_name", "phone")
    raw_id_fields = ("user",)
