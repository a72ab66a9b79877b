"""The shop's admin site: Django's, but invalid ids and filters are refused instead of a 500."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import BadRequest, ValidationError
from django.db import DataError, IntegrityError, ProgrammingError, connection, transaction
from django.shortcuts import redirect

from retail.security.trail import record, subject_of
from retail.web.merging_forms import merging

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.admin.views.main import ChangeList
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse


class CheckedAdmin(ModelAdmin):  # type: ignore[type-arg]
    """Validates ids and filters before they reach the database; merges concurrent edits."""

    def __init__(self, model: type[Any], admin_site: AdminSite) -> None:
        super().__init__(model, admin_site)
        self.form = merging(self.form)

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
        """Return a row, locked until the end of a POST's transaction; ignore an empty `_to_field`.

        A form is merged into the row as it is now, and nobody else may change it before the save.
        """
        row = super().get_object(request, object_id, from_field or None)
        if row is not None and request.method == "POST" and connection.in_atomic_block:
            rows = self.model._base_manager.select_for_update(no_key=True)  # noqa: SLF001 - documented API
            try:
                row.refresh_from_db(from_queryset=rows)
            except self.model.DoesNotExist:
                return None  # just deleted
        return row

    def get_inline_instances(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the inlines, whose forms merge too."""
        inlines = super().get_inline_instances(request, obj)
        for inline in inlines:
            inline.form = merging(inline.form)
        return inlines

    def get_formset_kwargs(
        self, request: HttpRequest, obj: Any, inline: Any, prefix: str
    ) -> dict[str, Any]:
        """Return a formset's arguments; a POST's rows are locked."""
        arguments: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        if request.method == "POST":
            arguments["queryset"] = _locked(arguments["queryset"])
        return arguments

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the form of a row in an editable list, which merges too."""
        return super().get_changelist_form(request, form=merging(forms.ModelForm), **kwargs)

    def _get_list_editable_queryset(self, request: HttpRequest, prefix: str) -> QuerySet[Any]:
        return _locked(super()._get_list_editable_queryset(request, prefix))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show the list; edit rows or run an action in one transaction."""
        view = super().changelist_view
        if request.method != "POST":
            return view(request, extra_context)
        return self._or_again(transaction.atomic(view), request, extra_context)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Ask whether to delete a row, or delete it."""
        return self._or_again(super().delete_view, request, *args, **kwargs)

    def _changed_meanwhile(self, request: HttpRequest) -> HttpResponse:
        """Answer a request whose rows were used by others when it wanted to delete them."""
        text = "Nothing was changed: these rows have just been used by others. Look again."
        self.message_user(request, text, messages.ERROR)
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save a row, and name what the form has kept of others' changes."""
        super().save_model(request, obj, form, change)
        if kept := [form[name].label.lower() for name in sorted(getattr(form, "kept", ()))]:
            text = f"Changed by someone else while you edited, and kept: {', '.join(kept)}."
            self.message_user(request, text, messages.WARNING)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Log a new row, in its transaction."""
        record("admin_added", user_id=request.user.pk, subject=subject_of(obj))
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Log a changed row, in its transaction."""
        record("admin_changed", user_id=request.user.pk, subject=subject_of(obj))
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Log rows that will be deleted, in their transaction."""
        for obj in queryset:
            record("admin_deleted", user_id=request.user.pk, subject=subject_of(obj))
        return super().log_deletions(request, queryset)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Show or save a row's form."""
        try:
            return self._or_again(super().changeform_view, request, *args, **kwargs)
        except OverflowError as error:  # an id too large for SQLite
            raise BadRequest("invalid id") from error

    def _or_again(
        self, view: Callable[..., Any], request: HttpRequest, *args: Any, **kwargs: Any
    ) -> Any:
        """Call a view, and again if a concurrent change was in its way: now it can see and say so.

        The first call has been rolled back.
        """
        try:
            return view(request, *args, **kwargs)
        except IntegrityError:
            pass
        try:
            return view(request, *args, **kwargs)
        except IntegrityError:
            return self._changed_meanwhile(request)

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
        return super().response_action(request, queryset, *args, **kwargs)


def _locked(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Lock the rows of a formset by id until the transaction ends."""
    return rows.select_for_update(no_key=True, of=("self",)).order_by("pk")


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
