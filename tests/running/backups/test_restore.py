"""A backup restores into an empty database, and what happened since is found there."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from decimal import Decimal

import pytest

from tests.running.backups.support import KEY, OTHER_KEY, PUBLIC, Backups
from tests.running.support import wait_until


@pytest.mark.parametrize("key", ["", KEY], ids=["plain", "encrypted"])
def test_a_restored_database_is_as_it_was(backups: Backups, key: str) -> None:
    backups.sell(3)
    before = backups.state()
    dump = backups.make(BACKUP_KEY=key)
    manifest = backups.manifest(dump)
    assert dump.stat().st_mode & 0o777 == 0o600
    assert dump.stat().st_size == manifest["size"]
    assert manifest["encrypted"] is bool(key)
    assert dump.read_bytes().startswith(b"age-encryption.org/v1") is bool(key)
    assert manifest["contents"]["tables"]["orders.sale"]["rows"] == "3"
    assert manifest["ledgers"]["gateway"]["charge"] == 3
    backups.new_database("elsewhere")
    if key:  # what `migrate` writes is no obstacle
        assert backups.command("migrate", "--noinput").returncode == 0
    done = backups.command("restore", dump, BACKUP_KEY=key)
    assert done.returncode == 0, done.stderr
    assert "The database is as it was" in done.stderr
    assert "charge_has_payment" not in done.stderr
    assert backups.state() == before
    # It has its own row, and sells.
    assert backups.shop.query(
        "[[b.name, b.restored_at is not None, b.restore_problem, b.restore_seconds > 0]"
        " for b in __import__('retail.models').models.Backup.objects.all()]"
    ) == [[dump.name, True, "", True]]
    backups.sell(1)
    audited = backups.command("audit", "--full")
    assert audited.returncode == 0, audited.stdout


def test_a_charge_after_the_backup_is_found_after_the_restore(backups: Backups) -> None:
    backups.sell(2)
    dump = backups.make()
    backups.sell(1)
    [lost] = backups.shop.query("[Payment.objects.order_by('-pk').first().key]")
    backups.new_database("elsewhere")
    done = backups.command("restore", dump)
    assert done.returncode == 0, done.stderr
    assert f"charge_has_payment: {lost}" in done.stderr
    assert "Refund each charge" in done.stderr
    audited = backups.command("audit", "--full")
    assert audited.returncode == 1
    [violated] = [line for line in audited.stdout.splitlines() if lost in line]
    assert violated.startswith("charge_has_payment")
    # What the page about backups says to do.
    amount = next(charge["amount"] for charge in backups.shop.charges() if charge["key"] == lost)
    for part in ("0.01", f"{Decimal(amount) - Decimal('0.01')}"):
        assert backups.command("audit", "--full").returncode == 1
        refund = {"charge_key": lost, "amount": part}
        backups.shop.gateway.post("/v1/refunds", uuid.uuid4().hex, refund)
    assert backups.command("audit", "--full").returncode == 0


def test_buyers_who_order_meanwhile_are_in_it_whole_or_not_at_all(backups: Backups) -> None:
    with contextmanager(backups.selling)():
        wait_until(lambda: backups.shop.query("Sale.objects.count()") > 2, "the first orders")
        dump = backups.make()
        sold = int(backups.manifest(dump)["contents"]["tables"]["orders.sale"]["rows"])
        wait_until(lambda: backups.shop.query("Sale.objects.count()") > sold, "a later order")
    tried = backups.command("restore", dump, "--into-scratch")
    assert tried.returncode == 0, tried.stderr
    [restored] = backups.shop.query(
        "[[b.restore_problem, b.restore_seconds > 0]"
        " for b in __import__('retail.models').models.Backup.objects.all()]"
    )
    assert restored == ["", True]


def test_half_a_key_makes_backups_but_opens_none(backups: Backups) -> None:
    dump = backups.make(BACKUP_KEY=PUBLIC)
    backups.new_database("elsewhere")
    for key, message in {
        "": "is encrypted: set BACKUP_KEY",
        PUBLIC: "BACKUP_KEY is the half that only makes backups",
        OTHER_KEY: "BACKUP_KEY does not open",
        "nonsense": "BACKUP_KEY is not a key",
    }.items():
        done = backups.command("restore", dump, BACKUP_KEY=key)
        assert (done.returncode, message in done.stderr) == (1, True), done.stderr
    done = backups.command("restore", dump, BACKUP_KEY=KEY)
    assert done.returncode == 0, done.stderr
