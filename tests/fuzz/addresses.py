"""Every address of the shop, as its resolver knows them."""

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

OUTSIDE = frozenset({"unmatched", "unnamed", "admin"})  # view labels that are no route's name

_OF_MODEL = re.compile(r"admin/([a-z_0-9]+)/([a-z_0-9]+)/")


@dataclass(frozen=True)
class Address:
    """A pattern such as `orders/%(reference)s/`, and what metrics call it."""

    name: str
    label: str
    template: str
    parameters: tuple[str, ...]

    @property
    def model(self) -> type[Model] | None:
        """The model that this address of the admin is about, if it is one."""
        match = _OF_MODEL.match(self.template)
        try:
            return apps.get_model(match[1], match[2]) if match else None
        except LookupError:  # admin/password_change/done/
            return None

    def path(self, values: dict[str, str]) -> str:
        """Return the path (not quoted) with these values."""
        return "/" + self.template % values


def _walk(
    resolver: URLResolver, prefixes: list[tuple[str, list[str]]], names: tuple[str, ...], app: str
) -> Iterator[Address]:
    for entry in resolver.url_patterns:
        here = [
            (before + after, [*known, *more])
            for before, known in prefixes
            for after, more in normalize(entry.pattern.regex.pattern)
        ]
        if isinstance(entry, URLResolver):
            inner = (*names, entry.namespace) if entry.namespace else names
            yield from _walk(entry, here, inner, app or entry.app_name or "")
            continue
        assert isinstance(entry, URLPattern)
        name = ":".join((*names, entry.name)) if entry.name else ""
        for template, parameters in here:
            label = "admin" if app == "admin" else name or "unnamed"
            yield Address(name or template, label, template, tuple(parameters))


def addresses() -> list[Address]:
    """Return every address, those of included lists of addresses too."""
    found = list(_walk(get_resolver(), [("", [])], (), ""))
    return sorted(set(found), key=lambda one: (one.template, one.name))


def labels() -> set[str]:
    """Return every value that the label `view` may have."""
    return {*OUTSIDE, *(address.label for address in addresses())}
