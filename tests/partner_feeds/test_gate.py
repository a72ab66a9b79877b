"""A file that would change more than usual is held until staff decide."""

from __future__ import annotations

import pytest

from partner_feeds import services
from partner_feeds.applying import apply_all
from partner_feeds.models import Partner
from tests.partner_feeds.taking_in import FILE, D, everything, shelf, take_in

pytestmark = pytest.mark.django_db


def test_a_file_that_changes_too_much_is_held(partner: Partner) -> None:
    take_in(partner, FILE)
    before = everything()
    held = take_in(partner, FILE.replace(b"24.90", b"2490.00"))
    assert (held.status, everything()) == ("HELD", before)
    assert held.held_for == ["1 price changes by a factor of 2 or more."]
    services.apply_anyway(held, user_id=None, reason="It is made of gold.")
    assert apply_all(held)
    held.refresh_from_db()
    assert (held.status, held.reason) == ("DONE", "It is made of gold.")
    assert shelf()["A1"] == ("Kettle", D("2490.00"), 5)


HALVED = "1 price changes by a factor of 2 or more."


def many(count: int, price: str = "10.00", stock: int = 5) -> bytes:
    rows = "".join(f"M{number},Item {number},{price},{stock}\n" for number in range(count))
    return f"sku,name,price,stock\n{rows}".encode()


@pytest.mark.parametrize(
    ("content", "held_for"),
    [
        (
            many(4).replace(b"10.00", b"11.00") + many(20)[len(many(4)) :],
            [],
        ),
        (
            many(20, "11.00"),
            ["20 of 20 products change their price (100 %, normally at most 22 %)."],
        ),
        (many(20, stock=0), ["20 of 20 products sell out (100 %, normally at most 17 %)."]),
        (
            many(15),
            [
                "The file has 15 good rows; the last one had 20 (normally at least 85 % of them).",
            ],
        ),
        (many(17), []),
        (
            many(20).replace(b"M1,Item 1,10.00", b"M1,Item 1,5.00"),
            ["1 price changes by a factor of 2 or more."],
        ),
        (many(20).replace(b"M1,Item 1,10.00", b"M1,Item 1,5.01"), []),
        (
            many(20) + b"X,x,0,1\n" * 4,
            ["4 of 24 rows are rejected (17 %, normally at most 14 %)."],
        ),
    ],
)
def test_the_gate(partner: Partner, content: bytes, held_for: list[str]) -> None:
    take_in(partner, many(20))
    before = everything()
    ingestion = take_in(partner, content)
    assert ingestion.held_for == held_for
    assert ingestion.status == ("HELD" if held_for else "DONE")
    if held_for:
        assert everything() == before


def repriced(count: int, changed: int) -> list[str]:
    """Return why a file is held in which so many of so many prices change."""
    partner = Partner.objects.get()
    assert take_in(partner, many(count)).status == "DONE"
    ingestion = take_in(partner, many(changed, "11.00") + many(count)[len(many(changed)) :])
    return list(ingestion.held_for)


def test_a_share_at_its_limit_is_not_held(partner: Partner) -> None:
    assert repriced(50, 11) == []


def test_a_share_above_its_limit_is_held(partner: Partner) -> None:
    assert repriced(50, 12) == [
        "12 of 50 products change their price (24 %, normally at most 22 %)."
    ]


@pytest.mark.parametrize(("count", "held"), [(15, False), (16, True)])
def test_a_share_of_few_products_means_nothing(partner: Partner, count: int, held: bool) -> None:
    assert bool(repriced(count, count)) is held


def test_a_file_is_compared_with_the_last_that_was_not_taken_back(partner: Partner) -> None:
    take_in(partner, many(20))
    longer = take_in(partner, many(30))
    assert apply_all(services.take_back(longer, user_id=None))
    held = take_in(partner, many(16))
    assert held.held_for == [
        "The file has 16 good rows; the last one had 20 (normally at least 85 % of them)."
    ]


def test_a_reason_is_asked_for(partner: Partner) -> None:
    take_in(partner, FILE)
    held = take_in(partner, FILE.replace(b"24.90", b"2490.00"))
    with pytest.raises(services.IngestionRefusedError, match="Say why"):
        services.apply_anyway(held, user_id=None, reason=" ")
    held.refresh_from_db()
    assert held.status == "HELD"
