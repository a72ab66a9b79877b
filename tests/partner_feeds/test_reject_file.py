"""The file of rejected rows."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest

from partner_feeds import reject_file
from partner_feeds.models import Ingestion, Partner, RejectedRow
from tests.partner_feeds.desks import path, staff
from tests.partner_feeds.taking_in import FILE, take_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import StreamingHttpResponse
    from pytest_django import DjangoAssertNumQueries


@pytest.mark.parametrize(
    "formula",
    [
        *("=1+1", "+1", "-1", "-12.50", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\tx", "\rx"),
        *("  =1", "\u00a0=1", "\u200b=1", "\ufeff=1", " \t -1", "\uff1d1", " \uff0b1"),
    ],
)
def test_formulas_are_text(formula: str) -> None:
    assert reject_file.safe(formula) == f"'{formula}"


@pytest.mark.parametrize("text", ["", "a=1", "1-2", "'=1", " a", "12.50", "mail@example.com"])
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert reject_file.safe(text) == text


def test_cells_that_are_no_text() -> None:
    assert [reject_file.safe(cell) for cell in (None, 0, -1, [1], True)] == [
        *("", "0", "'-1", "[1]", "True"),
    ]


def rejected(partner: Partner, *rows: Mapping[str, object]) -> Ingestion:
    ingestion = take_in(partner, FILE)
    for number, cells in enumerate(rows):
        RejectedRow.objects.create(
            ingestion=ingestion,
            line=number + 2,
            code="price",
            sentence="=Bad, so.",
            cells=list(cells.items()),
        )
    return ingestion


def table(ingestion: Ingestion) -> list[list[str]]:
    text = "".join(reject_file.lines_of(ingestion))
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


@pytest.mark.django_db
def test_it_is_sent_as_a_file(partner: Partner) -> None:
    ingestion = take_in(partner, FILE + b'=HYPERLINK(),"Says ""no"", twice",-1.00,\n')
    answer: StreamingHttpResponse = staff("on-call").get(path(ingestion, "rejects.csv"))  # type: ignore[assignment]
    assert answer.streaming
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == (
        f'attachment; filename="{ingestion.reference}.csv"'
    )
    assert b"".join(answer).decode() == (
        '\ufeff"sku","name","price","stock","line","code","sentence"\r\n'
        '"\'=HYPERLINK()","Says ""no"", twice","\'-1.00","","5","price_not_positive",'
        '"The price -1.00 is not above 0."\r\n'
    )


@pytest.mark.django_db
def test_rows_with_different_columns(partner: Partner) -> None:
    ingestion = rejected(partner, {"aaa": "1", "=b": "2"}, {"c": "3", "aaa": "\n"}, {})
    assert table(ingestion) == [
        ["aaa", "'=b", "c", "line", "code", "sentence"],
        ["1", "2", "", "2", "price", "'=Bad, so."],
        ["'\n", "", "3", "3", "price", "'=Bad, so."],
        ["", "", "", "4", "price", "'=Bad, so."],
    ]


@pytest.mark.django_db
def test_very_many_columns_share_one(partner: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reject_file, "MOST_COLUMNS", 2)
    rows: list[dict[str, object]] = [{"a": "1", "b": "2"}, {"c": "=3", "a": "4", "d": "ä"}]
    assert [row[:3] for row in table(rejected(partner, *rows))] == [
        ["a", "b", "other columns"],
        ["1", "2", ""],
        ["4", "", '{"c": "=3", "d": "ä"}'],
    ]


@pytest.mark.django_db
def test_no_rejected_rows(partner: Partner) -> None:
    assert table(take_in(partner, FILE)) == [["line", "code", "sentence"]]


@pytest.mark.django_db
def test_rows_are_read_as_they_are_sent(
    partner: Partner, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    ingestion = rejected(partner, {"a": "1"}, {"a": "2"})
    with django_assert_num_queries(2):
        lines = reject_file.lines_of(ingestion)
        next(lines)
        assert next(lines).startswith('"1"')
