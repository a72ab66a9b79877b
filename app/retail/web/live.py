"""Pages with a part that asks for news of itself; vitrine/live.js is their other half."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest
    from django.utils.safestring import SafeString


def part(template: str, context: Mapping[str, Any], request: HttpRequest) -> SafeString:
    """Return what a template makes, for another template to hold."""
    # A template made it, and escaped what it shows.
    return mark_safe(render_to_string(template, dict(context), request))  # noqa: S308


def content_hash(*parts: str) -> str:
    """Return what a page knows its parts again by."""
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def poll(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """Answer the question whether anything is new since `seen`; 204 leaves the page as it is.

    `context` has the `content_hash` of what there is now.
    """
    if request.GET.get("seen") == context["content_hash"]:
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    return render(request, template, {**context, "again": True})
