"""A file is read, applied, and taken back."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.utils import timezone

from partner_feeds import applying, intake, services, staging
from partner_feeds.applying import (
    AppliedElsewhereError,
    apply_all,
    apply_rows,
    finish,
    next_window,
)
from partner_feeds.models import AppliedChange, Ingestion, Partner, RejectedRow, StagedRow
from partner_feeds.tasks import forget_feed_changes
from products.models import Product, StockMovement
from products.services import stock_adjust, stock_reserve
from tests.partner_feeds.taking_in import FILE, D, counts, everything, rejects, shelf, take_in
from tests.support import make_product, unbalanced_products

pytestmark = pytest.mark.django_db
Reason = StockMovement.Reason


def test_new_products_are_created_with_their_stock(partner: Partner) -> None:
    ingestion = take_in(partner, FILE)
    assert (ingestion.status, counts(ingestion)) == ("DONE", (3, 3, 0, 0, 0))
    assert shelf() == {
        "A1": ("Kettle", D("24.90"), 5),
        "A2": ("Pan", D("49.00"), 0),
        "A3": ("Board", D("19.90"), 7),
    }
    kettle = Product.objects.get(sku="A1")
    assert (kettle.source, kettle.source_stock, kettle.is_active) == ("acme", 5, True)
    assert kettle.category == partner.category
    assert kettle.search_text == "kettle\n"
    movements = StockMovement.objects.order_by("pk").values_list("quantity", "reason", "reference")
    assert list(movements) == [(5, "feed", ingestion.reference), (7, "feed", ingestion.reference)]
    assert not StagedRow.objects.exists()


def test_the_same_file_again_is_not_read(partner: Partner) -> None:
    take_in(partner, FILE)
    before = everything()
    again = take_in(partner, FILE)
    assert (again.status, counts(again), everything()) == ("UNCHANGED", (0, 0, 0, 0, 0), before)


def test_the_same_file_is_read_again_after_a_change_of_the_partner(partner: Partner) -> None:
    take_in(partner, FILE)
    partner.save()
    assert take_in(partner, FILE).status == "UNCHANGED"
    partner.negative_stock_is_zero = True
    partner.save()
    assert counts(take_in(partner, FILE)) == (3, 0, 0, 3, 0)


def test_what_staff_hid_stays_hidden_until_the_partners_word_changes(partner: Partner) -> None:
    rows = FILE.replace(b"stock\n", b"stock,active\n").replace(b"5\n", b"5,yes\n")
    rows = rows.replace(b"0\n", b"0,yes\n").replace(b"7\n", b"7,yes\n")
    take_in(partner, rows)
    Product.objects.filter(sku="A1").update(is_active=False)
    take_in(partner, rows + b"\n")
    kettle = Product.objects.get(sku="A1")
    assert (kettle.is_active, kettle.source_offered) == (False, True)
    take_in(partner, rows.replace(b"5,yes", b"5,no"))
    take_in(partner, rows)
    kettle.refresh_from_db()
    assert (kettle.is_active, kettle.source_offered) == (True, True)
    Product.objects.filter(sku="A1").update(is_active=False, price=0, source_offered=False)
    priceless = rows.replace(b"Kettle,24.90,5", b"Kettle,,5")
    assert rejects(take_in(partner, priceless)) == [(2, "not_applied")]


def test_a_second_import_of_the_same_rows_changes_nothing(partner: Partner) -> None:
    take_in(partner, FILE)
    before = everything()
    again = take_in(partner, FILE + b"\n")
    assert (again.status, counts(again), everything()) == ("DONE", (3, 0, 0, 3, 0), before)


def test_sales_in_between_are_not_undone(partner: Partner) -> None:
    take_in(partner, FILE)
    kettle = Product.objects.get(sku="A1")
    stock_reserve(quantities={kettle.pk: 2}, reference="VT-1")
    ingestion = take_in(partner, FILE.replace(b"24.90,5", b"24.90,6"))
    assert counts(ingestion) == (3, 0, 1, 2, 0)
    assert shelf()["A1"] == ("Kettle", D("24.90"), 4)
    take_in(partner, FILE.replace(b"24.90,5", b"24.90,0"))
    assert shelf()["A1"] == ("Kettle", D("24.90"), 0)


def test_a_running_flash_sale_keeps_price_and_stock(partner: Partner) -> None:
    take_in(partner, FILE)
    now = timezone.now()
    Product.objects.filter(sku="A1").update(
        flash_price=D(10), flash_starts_at=now, flash_ends_at=now + timedelta(hours=1)
    )
    changed = FILE.replace(b"Kettle,24.90,5", b"Kettle 2,25.90,9")
    assert counts(take_in(partner, changed)) == (3, 0, 1, 2, 0)
    assert shelf()["A1"] == ("Kettle 2", D("24.90"), 5)
    Product.objects.filter(sku="A1").update(flash_ends_at=now + timedelta(microseconds=1))
    take_in(partner, changed + b"\n")
    assert shelf()["A1"] == ("Kettle 2", D("25.90"), 9)


def test_a_price_below_the_planned_flash_price_is_rejected(partner: Partner) -> None:
    take_in(partner, FILE)
    soon = timezone.now() + timedelta(days=1)
    Product.objects.filter(sku="A1").update(
        flash_price=D(20), flash_starts_at=soon, flash_ends_at=soon + timedelta(hours=1)
    )
    ingestion = take_in(partner, FILE.replace(b"24.90,5", b"19.00,5"))
    assert rejects(ingestion) == [(2, "not_applied")]
    assert shelf()["A1"] == ("Kettle", D("24.90"), 5)


def test_rows_with_the_same_key_are_all_rejected(partner: Partner) -> None:
    ingestion = take_in(partner, FILE + b"A1,Other,1.00,1\n" + b"B,x,1.00,1\n" * 30)
    assert rejects(ingestion)[0] == (2, "key_twice")
    first = RejectedRow.objects.get(line=2)
    assert first.sentence == "The key A1 is also in line 5."
    assert len(rejects(ingestion)) == 32
    assert ingestion.status == "HELD"


def test_case_of_keys_matters_only_if_the_partner_says_so(partner: Partner) -> None:
    rows = b"sku,name,price,stock\nab,x,1.00,1\nAB,y,2.00,1\nC,z,3.00,1\n"
    Partner.objects.update(ignore_case=True)
    partner.refresh_from_db()
    held = take_in(partner, rows)
    assert rejects(held) == [(2, "key_twice"), (3, "key_twice")]
    Partner.objects.update(ignore_case=False)
    partner.refresh_from_db()
    assert counts(take_in(partner, rows)) == (3, 3, 0, 0, 0)
    held.refresh_from_db()
    assert held.status == "DISCARDED"


def test_absent_products_stay_unless_the_partner_says_that_they_are_sold_out(
    partner: Partner,
) -> None:
    own = make_product("Lamp", "10.00", 3)
    take_in(partner, FILE)
    short = FILE.replace(b"A3,Board,19.90,7\n", b"A4,Spoon,2.00,1\n")
    take_in(partner, short)
    assert shelf()["A3"][2] == 7
    Partner.objects.update(absent="sold_out")
    partner.refresh_from_db()
    ingestion = take_in(partner, short + b"\n")
    assert (ingestion.status, ingestion.absent) == ("DONE", 1)
    assert shelf()["A3"][2] == 0
    own.refresh_from_db()
    assert own.stock == 3


def test_a_refused_file_changes_nothing(partner: Partner) -> None:
    take_in(partner, FILE)
    before = everything()
    failed = take_in(partner, FILE + b'A9,"never closed,1.00,1\n')
    assert (failed.status, failed.code, everything()) == ("FAILED", "open_quote", before)
    assert not StagedRow.objects.exists()


def test_it_is_taken_back_exactly(partner: Partner) -> None:
    take_in(partner, FILE)
    before = everything()
    changed = FILE.replace(b"24.90,5", b"25.90,6") + b"A4,Spoon,2.00,1\n"
    done = take_in(partner, changed)
    back = services.take_back(done, user_id=None)
    assert apply_all(back)
    back.refresh_from_db()
    assert (back.status, back.rows, back.updated, back.rejected) == ("DONE", 2, 2, 0)
    products, _ = everything()
    assert products == before[0]
    assert unbalanced_products() == []
    with pytest.raises(services.IngestionRefusedError, match="was taken back before"):
        services.take_back(done, user_id=None)
    assert counts(take_in(partner, changed)) == (4, 1, 1, 2, 0)


def test_what_changed_since_is_not_taken_back(partner: Partner) -> None:
    take_in(partner, FILE)
    done = take_in(partner, FILE.replace(b"24.90,5", b"25.90,6").replace(b"19.90", b"20.90"))
    Product.objects.filter(sku="A1").update(price=D(30))
    back = services.take_back(done, user_id=None)
    assert apply_all(back)
    back.refresh_from_db()
    assert (back.updated, back.rejected) == (1, 1)
    assert back.rejects.get().sentence == "Its price was changed since."
    assert shelf()["A1"] == ("Kettle", D("30.00"), 6)
    assert shelf()["A3"] == ("Board", D("19.90"), 7)


def test_it_goes_on_where_it_was_interrupted(partner: Partner) -> None:
    ingestion = intake.ingest(partner, io.BytesIO(FILE))
    apply_rows(ingestion.pk, next_window(ingestion.pk, "").rows[:2])
    assert len(shelf()) == 2
    assert apply_all(ingestion)
    ingestion.refresh_from_db()
    assert (counts(ingestion), len(shelf())) == ((3, 3, 0, 0, 0), 3)
    assert AppliedChange.objects.count() == 3
    assert apply_all(ingestion)


def test_rows_that_another_process_applies_are_applied_once(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each commit finds that another process was first; both end with the ingestion."""
    ingestion = intake.ingest(partner, io.BytesIO(FILE))
    window = next_window(ingestion.pk, "")
    apply_rows(ingestion.pk, window.rows[:1])
    before = everything()
    with pytest.raises(AppliedElsewhereError):
        apply_rows(ingestion.pk, window.rows[:2])
    with pytest.raises(AppliedElsewhereError):
        finish(ingestion.pk)
    assert (everything(), StagedRow.objects.count()) == (before, 2)
    windows = iter([window])
    own = applying.next_window
    monkeypatch.setattr(
        applying, "next_window", lambda key, after: next(windows, None) or own(key, after)
    )
    assert apply_all(ingestion)
    ingestion.refresh_from_db()
    assert (ingestion.status, counts(ingestion), len(shelf())) == ("DONE", (3, 3, 0, 0, 0), 3)
    with pytest.raises(AppliedElsewhereError):
        next_window(ingestion.pk, "")


def test_only_one_file_of_a_partner_at_a_time(partner: Partner) -> None:
    intake.ingest(partner, io.BytesIO(FILE))
    with pytest.raises(services.IngestionRefusedError, match="is being taken in already"):
        intake.ingest(partner, io.BytesIO(FILE + b"\n"))


def test_a_dead_reader_leaves_nothing(partner: Partner) -> None:
    dead = Ingestion.objects.create(partner=partner)
    StagedRow.objects.create(ingestion=dead, line=2, sku="A1", name="x")
    assert services.void_dead() == 0
    Ingestion.objects.update(alive_at=timezone.now() - timedelta(minutes=6))
    assert services.void_dead() == 1
    dead.refresh_from_db()
    assert (dead.status, dead.code) == ("FAILED", "interrupted")
    assert not StagedRow.objects.exists()


def test_a_new_product_that_is_not_offered_is_hidden(partner: Partner) -> None:
    take_in(partner, b"sku,name,price,stock,active\nA,Pan,1.00,1,no\nB,Pot,1.00,1,\n")
    shown = dict(Product.objects.values_list("sku", "is_active"))
    assert shown == {"A": False, "B": True}


def test_a_price_may_fall_to_the_planned_flash_price(partner: Partner) -> None:
    take_in(partner, FILE)
    soon = timezone.now() + timedelta(days=1)
    Product.objects.filter(sku="A1").update(
        flash_price=D(20), flash_starts_at=soon, flash_ends_at=soon + timedelta(hours=1)
    )
    assert counts(take_in(partner, FILE.replace(b"24.90,5", b"20.00,5"))) == (3, 0, 1, 2, 0)


def test_a_new_product_whose_stock_was_changed_is_not_taken_back(partner: Partner) -> None:
    done = take_in(partner, FILE)
    kettle = Product.objects.get(sku="A1")
    stock_adjust(product_id=kettle.pk, difference=2, reason=Reason.ADMIN, reference="")
    back = services.take_back(done, user_id=None)
    assert apply_all(back)
    assert back.rejects.get().sentence == "Its units were sold or changed since."
    assert shelf() == {"A1": ("Kettle", D("24.90"), 7)}
    assert unbalanced_products() == []


def test_changes_are_forgotten_after_fourteen_days(partner: Partner) -> None:
    done = take_in(partner, FILE)
    assert forget_feed_changes() == 0
    Ingestion.objects.update(finished_at=timezone.now() - timedelta(days=14, minutes=1))
    assert forget_feed_changes() == 3
    with pytest.raises(services.IngestionRefusedError, match="more than 14 days ago"):
        services.take_back(done, user_id=None)


def test_what_has_none_already_is_not_absent(partner: Partner) -> None:
    Partner.objects.update(absent="sold_out")
    partner.refresh_from_db()
    take_in(partner, FILE)
    short = FILE.replace(b"A2,Pan,49.00,0\n", b"A4,Pot,1.00,1\n")
    assert take_in(partner, short).absent == 0


def test_a_reader_that_was_given_up_stops(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "BATCH", 1)

    def give_up(rows: int) -> None:
        if rows == 1:
            Ingestion.objects.update(alive_at=timezone.now() - timedelta(minutes=6))
            assert services.void_dead() == 1

    ingestion = intake.ingest(partner, io.BytesIO(FILE), report=give_up)
    assert (ingestion.status, ingestion.code, ingestion.rows) == ("FAILED", "interrupted", 1)
    assert not StagedRow.objects.exists()


def test_a_held_file_says_why_it_was_discarded(partner: Partner) -> None:
    done = take_in(partner, FILE)
    held = take_in(partner, FILE.replace(b"24.90", b"2490.00"))
    assert apply_all(services.take_back(done, user_id=None))
    held.refresh_from_db()
    assert (held.status, held.reason) == ("DISCARDED", f"{done.reference} was taken back.")
