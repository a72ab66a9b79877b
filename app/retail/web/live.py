"""Server side of self-refreshing page fragments (client: vitrine/live.js)."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from retail.web.access import exclude_from_metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest
    from django.utils.safestring import SafeString


def part(template: str, context: Mapping[str, Any], request: HttpRequest) -> SafeString:
    """Render a template for inclusion in another template."""
    # Safe: the template has escaped its values.
    return mark_safe(render_to_string(template, dict(context), request))  # noqa: S308


def content_hash(*parts: str) -> str:
    """Return a hash that changes with the parts' content."""
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def poll(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """Render the fragment, or return 204 if the client has already `seen` this content hash.

    Only for staff's pages: the request is in no rate. `context` must have the current
    `content_hash`.
    """
    exclude_from_metrics(request)
    if request.GET.get("seen") == context["content_hash"]:
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    return render(request, template, {**context, "again": True})
