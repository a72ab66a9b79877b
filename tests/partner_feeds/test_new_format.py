"""M1: one new file is a new format, from a partner's settings to products in the shop."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import pytest
from django.core.exceptions import ValidationError

from partner_feeds.reading import formats
from tests.partner_feeds.taking_in import D, counts, rejects, shelf, take_in

if TYPE_CHECKING:
    from pathlib import Path

    from partner_feeds.models import Partner

pytestmark = pytest.mark.django_db

# All there is to write: bytes in, records out.
MODULE = '''
"""Lines with bars: sku|name|price|stock."""

from partner_feeds.reading import unpack
from partner_feeds.reading.formats import register
from partner_feeds.reading.problems import Reject
from partner_feeds.reading.record import Record

NAMES = ("sku", "name", "price", "stock")


@register("bars")
def read_bars(file, options):
    stream, _ = unpack.opened(file, options.limits)
    for number, line in enumerate(stream, 1):
        cells = dict(zip(NAMES, line.decode().rstrip().split("|")))
        if len(cells) == len(NAMES):
            yield Record(number, cells)
        else:
            yield Reject(number, "cells", f"The line has {len(cells)} of 4 cells.", cells)
'''
FILE = b"".join(b"N%d|Jug|12.50|4\n" % number for number in range(9)) + b"N9|Mug\n"


@pytest.fixture
def bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the file to the formats, which import every file of their folder."""
    (tmp_path / "bars.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.setattr(formats, "_readers", dict(formats._readers))
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    name = f"{formats.__name__}.bars"
    importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)


def test_one_new_file_is_a_new_format(bars: None, partner: Partner) -> None:
    partner.format = "bars"
    partner.full_clean()
    partner.save()
    ingestion = take_in(partner, FILE)
    assert (ingestion.status, counts(ingestion)) == ("DONE", (10, 9, 0, 0, 1))
    assert shelf() == {f"N{number}": ("Jug", D("12.50"), 4) for number in range(9)}
    assert rejects(ingestion) == [(10, "cells")]
    assert take_in(partner, FILE).status == "UNCHANGED"


def test_without_the_file_there_is_no_such_format(partner: Partner) -> None:
    partner.format = "bars"
    with pytest.raises(ValidationError, match="Choose one of csv, json, jsonl, tsv, xml"):
        partner.full_clean()
    ingestion = take_in(partner, FILE)
    assert (ingestion.status, ingestion.code) == ("FAILED", "unknown_format")
