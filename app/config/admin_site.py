"""The shop's admin site: Django's, but invalid ids and filters are refused instead of a 500."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from axes.handlers.proxy import AxesProxyHandler
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import BadRequest, ValidationError
from django.db import DataError, IntegrityError, ProgrammingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.admin.views.main import ChangeList
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse


class CheckedAdmin(ModelAdmin):  # type: ignore[type-arg]
    """Validates ids and filters of URLs and forms before they reach the database."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether a lookup is allowed in a URL. No page filters by patterns or ranges."""
        refused = lookup.endswith(("regex", "range"))
        return not refused and super().lookup_allowed(lookup, value, request)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the change list for the URL's filters."""
        try:
            return super().get_changelist_instance(request)
        except (DataError, ProgrammingError, OverflowError, TypeError, ValueError) as error:
            raise IncorrectLookupParameters(error) from error

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Return a row; ignore an empty `_to_field`."""
        return super().get_object(request, object_id, from_field or None)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Show or save a row's form."""
        try:
            return self._or_again(super().changeform_view, request, *args, **kwargs)
        except OverflowError as error:  # an id too large for SQLite
            raise BadRequest("invalid id") from error

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Show or carry out the deletion of a row."""
        return self._or_again(super().delete_view, request, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """List rows, or run an action on some."""
        return self._or_again(super().changelist_view, request, *args, **kwargs)

    @staticmethod
    def _or_again(view: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a view, and again if a concurrent change was in its way: now it can see and say so.

        The first call has been rolled back.
        """
        try:
            return view(*args, **kwargs)
        except IntegrityError:
            return view(*args, **kwargs)

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Run an action on the selected rows."""
        for selected in request.POST.getlist(ACTION_CHECKBOX_NAME):
            try:
                self.opts.pk.clean(selected, None)
            except ValidationError as error:
                raise BadRequest("invalid id") from error
            if "\x00" in selected:
                raise BadRequest("invalid id")
        # Axes' own action needs request attributes that are otherwise set only by a login.
        AxesProxyHandler.update_request(request)
        return super().response_action(request, queryset, *args, **kwargs)


class ShopAdminSite(AdminSite):
    """Adds these checks to every admin class, including those of libraries."""

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """Return the rows that match a term."""
        if "\x00" in request.GET.get("term", ""):  # PostgreSQL refuses it
            raise BadRequest("invalid term")
        return super().autocomplete_view(request)

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register one or more models."""
        base = admin_class or ModelAdmin
        checked = type(base.__name__, (CheckedAdmin, base), {"__module__": base.__module__})
        super().register(model_or_iterable, checked, **options)
