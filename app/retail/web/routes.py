"""The shop's routes, by the names under which requests are recorded."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings
from django.urls import Resolver404, URLResolver, get_resolver, resolve

from retail.observability.prometheus.catalogue import UNNAMED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest
    from django.urls import ResolverMatch


def views() -> tuple[str, ...]:
    """Return the name of every route, as `middleware.view_name` forms it."""
    return _views(settings.ROOT_URLCONF)


@cache
def _views(urlconf: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_names(get_resolver(urlconf))))


def _names(resolver: URLResolver, *namespaces: str) -> Iterator[str]:
    if resolver.app_name == "admin":
        yield "admin"
        return
    inner = (*namespaces, resolver.namespace) if resolver.namespace else namespaces
    for route in resolver.url_patterns:
        if isinstance(route, URLResolver):
            yield from _names(route, *inner)
        else:
            yield ":".join((*inner, route.name)) if route.name else UNNAMED


def match_of(request: HttpRequest) -> ResolverMatch | None:
    """Return the route of a request that never reached its view, or None for an unknown address."""
    try:
        return resolve(request.path_info)
    except Resolver404:
        return None
