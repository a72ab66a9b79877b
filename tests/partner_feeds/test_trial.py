"""Files that are only tried: what is found, and where it stops."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from partner_feeds import trial
from partner_feeds.models import Partner
from partner_feeds.trial import Trial, try_file

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.django_db


def tried(partner: Partner, *rows: str) -> Trial:
    content = "\n".join(["sku,name,price", *rows]) + "\n"
    return try_file(partner, io.BytesIO(content.encode()))


def found(of: Trial) -> list[tuple[int, str]]:
    return [(row.line, row.sentence) for row in of.rejects]


def test_keys_that_are_there_twice(partner: Partner) -> None:
    result = tried(partner, "A,One,1", "B,Two,2", "A,Three,3", "C,Four,x", "A,Five,5", "a,Six,6")
    assert (result.rows, result.good, result.error) == (6, 2, None)
    assert found(result) == [
        (2, "The key A is also in line 4."),
        (4, "The key A is also in line 2."),
        (5, "'x' is not a price with the decimal sign '.'."),
        (6, "The key A is also in line 2."),
    ]
    assert dict(result.codes) == {"key_twice": 3, "price": 1}
    Partner.objects.update(ignore_case=True)
    partner.refresh_from_db()
    assert tried(partner, "A,One,1", "a,Two,2", "B,Three,3").good == 1


def test_only_so_many_keys_are_compared(partner: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "MOST_KEYS", 2)
    assert tried(partner, "A,One,1", "B,Two,2").all_keys
    result = tried(partner, "A,One,1", "B,Two,2", "C,Three,3", "C,Four,4", "A,Five,5")
    assert (result.all_keys, result.good) == (False, 3)
    assert [line for line, _ in found(result)] == [2, 6]


class _Endless(io.RawIOBase):
    """A file of rows that are no product, which does not end."""

    def __init__(self) -> None:
        super().__init__()
        self._chunks: Iterator[bytes] = iter([b"Type,SKU,Name,Regular price\n"])

    def read(self, _size: int = -1) -> bytes:
        return next(self._chunks, b"variable,A,Parent,\n" * 3000)


def test_a_file_without_products_ends_in_time_too(partner: Partner) -> None:
    Partner.objects.update(mapping="woocommerce")
    partner.refresh_from_db()
    result = try_file(partner, _Endless(), seconds=0.2)  # type: ignore[arg-type]
    assert (result.stopped, result.error) == ("after 0.2 seconds", None)
