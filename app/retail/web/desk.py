"""Shared by staff's desk pages: who may open them, what is recorded, what is shown."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, TypeVar

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from retail.web.access import staff_only

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import Model, QuerySet
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    View = Callable[..., HttpResponseBase]

Result = TypeVar("Result")


def desk_page(permission: str, *methods: str) -> Callable[[View], View]:
    """Let only staff with a permission open a page, with GET and these methods."""

    def decorate(view: View) -> View:
        limited = require_http_methods(["GET", "HEAD", *methods])(view)

        @wraps(view)
        def checked(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
            require(request, permission)
            return limited(request, *args, **kwargs)

        return staff_only(never_cache(checked))

    return decorate


def require(request: HttpRequest, permission: str) -> None:
    """Raise PermissionDenied for users without a permission."""
    if not request.user.has_perm(permission):
        raise PermissionDenied


def act(request: HttpRequest, row: Model, action: Callable[[], Result], done: str) -> Result:
    """Do something to a row and record in its history who did it, both or neither."""
    with transaction.atomic():
        result = action()
        assert request.user.pk is not None  # noqa: S101 - for the type checker; staff are logged in
        LogEntry.objects.log_actions(request.user.pk, [row], CHANGE, done, single_object=True)
    messages.success(request, done)
    return result


def history(row: Model) -> QuerySet[LogEntry]:
    """Return what staff did to a row, newest first."""
    kind = ContentType.objects.get_for_model(row)
    entries = LogEntry.objects.filter(content_type=kind, object_id=str(row.pk))
    return entries.select_related("user").order_by("-action_time", "-pk")
