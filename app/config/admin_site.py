"""The shop's admin site: Django's, but ids and filters that cannot be are refused, not a 500."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from axes.handlers.proxy import AxesProxyHandler
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import BadRequest, ValidationError
from django.db import DataError, ProgrammingError

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse


class CheckedAdmin(ModelAdmin):  # type: ignore[type-arg]
    """Looks at what an address or a form asks of the database before the database does."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether the address may filter so; no page filters by patterns or ranges."""
        refused = lookup.endswith(("regex", "range"))
        return not refused and super().lookup_allowed(lookup, value, request)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the list that the address asks for."""
        try:
            return super().get_changelist_instance(request)
        except (DataError, ProgrammingError, OverflowError, TypeError, ValueError) as error:
            raise IncorrectLookupParameters(error) from error

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Return a row; a field without a name is none."""
        return super().get_object(request, object_id, from_field or None)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Show or take the form of a row."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except OverflowError as error:  # an id of many digits, which SQLite cannot look for
            raise BadRequest("no such id") from error

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Do the action."""
        for chosen in request.POST.getlist(ACTION_CHECKBOX_NAME):
            try:
                self.opts.pk.clean(chosen, None)
            except ValidationError as error:
                raise BadRequest("no such id") from error
            if "\x00" in chosen:
                raise BadRequest("no such id")
        # Axes' own action reads from the request what only a log-in puts there.
        AxesProxyHandler.update_request(request)
        return super().response_action(request, queryset, *args, **kwargs)


class ShopAdminSite(AdminSite):
    """Gives every admin class, also those of libraries, these checks."""

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register a model, or several."""
        given = admin_class or ModelAdmin
        checked = type(given.__name__, (CheckedAdmin, given), {"__module__": given.__module__})
        super().register(model_or_iterable, checked, **options)
