"""How products are compared with what visitors search for.

Case, accents and the ways to write the same letter in Unicode make no difference: `search_text`
holds a product's texts in the form that `fold` also gives to the words searched for. So both
databases find the same products.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import models, router, transaction
from django.db.models.query_utils import DeferredAttribute

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from django.db.models import Model

M = TypeVar("M", bound=models.Model)

SOURCES = ("name", "description")
_BATCH = 500
# Most accents: with them gone, most texts are ASCII, and nothing more is to be done.
_MARKS = re.compile("[\u0300-\u034e\u0350-\u036f]+")
# Letters that Unicode does not decompose into one without a stroke, dot or ligature.
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ħ": "h"}
    | {"\N{LATIN SMALL LETTER DOTLESS I}": "i", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th"}
    | {"\x00": None}  # PostgreSQL refuses it
)


def fold(text: str) -> str:
    """Return the text without case, accents and invisible characters: "Große" → "grosse"."""
    if text.isascii():
        return text.lower().replace("\x00", "")
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    decomposed = _MARKS.sub("", decomposed)
    if decomposed.isascii():
        return decomposed.replace("\x00", "")
    letters = "".join(
        char
        for char in decomposed
        if not unicodedata.combining(char) and unicodedata.category(char) != "Cf"
    )
    return unicodedata.normalize("NFC", letters.translate(_LETTERS))


def search_text(*texts: str) -> str:
    """Return what is stored for texts that are searched."""
    # A newline is in no word, so no word is found across two fields.
    return fold("\n".join(texts))


class _Computed(DeferredAttribute):
    """Returns the value that the sources' current values give, whatever was read or assigned."""

    field: SearchTextField

    def __get__(self, instance: Model | None, cls: object = None) -> Any:
        """Return the computed value."""
        return self if instance is None else self.field.computed(instance)

    def __set__(self, instance: Model, value: object) -> None:
        """Keep the value only as the sign that the field was loaded."""
        instance.__dict__[self.field.attname] = value


class SearchTextField(models.TextField):  # type: ignore[type-arg]
    """The folded text of other fields, computed whenever a row is written.

    Saving, bulk_create and fixtures write what it returns. `SearchedQuerySet` and `SearchedModel`
    take care of writes of single fields.
    """

    descriptor_class = _Computed

    def __init__(self, *args: Any, sources: Sequence[str] = SOURCES, **kwargs: Any) -> None:
        self.sources = tuple(sources)
        kwargs |= {"editable": False, "blank": True, "default": "", "db_default": ""}
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        """Return what migrations need to recreate the field."""
        name, path, args, kwargs = super().deconstruct()
        for fixed in ("editable", "blank", "default", "db_default"):
            kwargs.pop(fixed, None)
        return name, path, args, kwargs | {"sources": self.sources}

    def computed(self, instance: Model) -> str:
        """Return the text for the instance's current values."""
        return search_text(*(str(getattr(instance, name)) for name in self.sources))


def refold(model: type[Model], keys: Iterable[int], using: str) -> None:
    """Compute the search text of stored rows again, from what is stored."""
    keys = list(keys)
    rows = model._base_manager.using(using)  # noqa: SLF001 - documented API
    for start in range(0, len(keys), _BATCH):
        some = rows.filter(pk__in=keys[start : start + _BATCH])
        for row in some.only(*SOURCES).order_by("pk"):
            rows.filter(pk=row.pk).update(search_text=row.search_text)  # type: ignore[attr-defined]


def _searched(names: Collection[str]) -> bool:
    return not set(SOURCES).isdisjoint(names)


class SearchedQuerySet(models.QuerySet[M]):
    """Keeps the search text right when a statement writes many rows."""

    def update(self, **values: Any) -> int:
        """Update the rows."""
        if not _searched(values):
            return super().update(**values)
        with transaction.atomic(using=self.db):
            keys = list(self.order_by("pk").values_list("pk", flat=True))
            updated = super().update(**values)
            # Read back under the locks just taken: values may be expressions.
            refold(self.model, keys, self.db)
        return updated

    update.alters_data = True  # type: ignore[attr-defined]


class SearchedModel(models.Model):
    """A model with a search text, which stays right when only some fields are saved."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the instance."""
        named = kwargs.get("update_fields")
        some = _searched(named) if named is not None else bool(self.get_deferred_fields())
        if not some:
            super().save(*args, **kwargs)
            return
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            super().save(*args, **kwargs)
            # The other fields may have changed since this instance was read.
            refold(type(self), [self.pk], using)
