"""The attacker finds a shop set up as for production closed, and a developer's open."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.running.support import RunningShop
from tests.security.attacker import ATTACKS
from tests.security.attacks import accounts, money, wire
from tests.security.target import PASSWORD, BrokenIn, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CARD = "card-5d41402abc4b2a76"
SECRETS = {
    "GATEWAY_API_KEY": "kite-of-the-shop-and-the-provider-41",
    "GATEWAY_FAULTS_TOKEN": "nobody-needs-this-one-in-production-7",
}
PRODUCTION = {
    **SECRETS,
    "DEBUG": "False",
    "SECRET_KEY": "sphinx-of-black-quartz-judge-my-vow-0123456789-and-so-on",
    "METRICS_TOKEN": "only-prometheus-knows-this-17",
    "ALERTS_TOKEN": "only-alertmanager-knows-this-29",
    "ALLOWED_HOSTS": "localhost,127.0.0.1",
    "SHOP_URL": "https://shop.example.com",
    "HTTPS": "False",  # a proxy's business
    "EMAIL_HOST": "127.0.0.1",
    "EMAIL_PORT": "9",  # nobody answers, and the letters wait
    "THROTTLE_REGISTER_LIMIT": "10",
    "THROTTLE_SEARCH_LIMIT": "20",  # or a slow machine never gets there within a minute
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    gateway = {"DEBUG": "False", "GATEWAY_CARDS": CARD, **SECRETS}
    folder = tmp_path_factory.mktemp("shop")
    settings = {**PRODUCTION, "STATIC_ROOT": str(folder / "static")}
    shop = RunningShop(folder, settings, gateway_settings=gateway)
    shop.manage("collectstatic", "--noinput", "--verbosity", "0")
    shop.manage("create_admin", "--username", "boss", "--password", PASSWORD)
    shop.start("web", "worker")
    yield shop
    shop.close()


@pytest.fixture
def target(shop: RunningShop, attack: Callable[[Target], None]) -> Target:
    def logs() -> str:
        return "".join(path.read_text() for path in (shop.folder / "logs").rglob("*.log"))

    number = ATTACKS.index(attack) + 1  # each has an address, and so limits, of its own
    everything = Target(shop.url, shop.gateway.url, CARD, f"boss:{PASSWORD}", logs=logs)
    return replace(everything, address=f"127.0.1.{number}")


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_it_is_refused(attack: Callable[[Target], None], target: Target) -> None:
    attack(target)


def test_a_developers_shop_is_broken_into(tmp_path: Path) -> None:
    """Show that the attempts are real ones."""
    shop = RunningShop(tmp_path, {"LOGIN_FAILURE_LIMIT": "1000"})
    try:
        shop.manage("create_admin")
        shop.start("web")
        target = Target(shop.url, shop.gateway.url, "tok_good")
        for attack in (
            *(money.test_cards, money.gateway_defaults, wire.measurements),
            *(accounts.default_accounts, accounts.guesses_from_forged_addresses),
        ):
            with pytest.raises(BrokenIn):
                attack(target)
    finally:
        shop.close()
