"""Every route of the shop, read from its URL resolver."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.apps import apps
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.regex_helper import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.models import Model

OTHER_LABELS = frozenset({"unmatched", "unnamed", "admin"})  # values of `view` besides route names

_ADMIN_MODEL = re.compile(r"admin/([a-z_0-9]+)/([a-z_0-9]+)/")


@dataclass(frozen=True)
class Route:
    """A URL pattern such as `orders/%(reference)s/`, and its `view` label in metrics."""

    name: str
    label: str
    template: str
    parameters: tuple[str, ...]

    @property
    def model(self) -> type[Model] | None:
        """The model of an admin route, if any."""
        match = _ADMIN_MODEL.match(self.template)
        try:
            return apps.get_model(match[1], match[2]) if match else None
        except LookupError:  # admin/password_change/done/
            return None

    def path(self, values: dict[str, str]) -> str:
        """Return the unquoted path with these parameter values."""
        return "/" + self.template % values


def _walk(
    resolver: URLResolver, prefixes: list[tuple[str, list[str]]], names: tuple[str, ...], app: str
) -> Iterator[Route]:
    for entry in resolver.url_patterns:
        prefixed = [
            (prefix + pattern, [*parameters, *more])
            for prefix, parameters in prefixes
            for pattern, more in normalize(entry.pattern.regex.pattern)
        ]
        if isinstance(entry, URLResolver):
            inner = (*names, entry.namespace) if entry.namespace else names
            yield from _walk(entry, prefixed, inner, app or entry.app_name or "")
            continue
        assert isinstance(entry, URLPattern)
        name = ":".join((*names, entry.name)) if entry.name else ""
        for template, parameters in prefixed:
            label = "admin" if app == "admin" else name or "unnamed"
            yield Route(name or template, label, template, tuple(parameters))


def routes() -> list[Route]:
    """Return every route, including those of included URL configurations."""
    everything = set(_walk(get_resolver(), [("", [])], (), ""))
    return sorted(everything, key=lambda route: (route.template, route.name))


def labels() -> set[str]:
    """Return every allowed value of the label `view`."""
    return {*OTHER_LABELS, *(route.label for route in routes())}
