"""A shop in production beside a gateway simulator, as processes: nothing is sold."""

import requests

from tests.config.test_settings import PRODUCTION
from tests.gateway_simulator.support import Process
from tests.running.conftest import OpenShop
from tests.running.support import free_port

LAMP = "/products/lumen-desk-lamp/"
OWN = {name: value for name, value in PRODUCTION.items() if name != "DATABASE_URL"}
SHOP = {**OWN, "HTTPS": "False", "ALLOWED_HOSTS": "127.0.0.1"}


def test_a_simulator_that_comes_up_later_sells_nothing(open_shop: OpenShop) -> None:
    port = free_port()
    shop = open_shop(**SHOP, GATEWAY_URL=f"http://127.0.0.1:{port}")
    shop.environment["STATIC_ROOT"] = str(shop.folder / "static")
    shop.manage("collectstatic", "--noinput", "--verbosity", "0")
    shop.start("web")  # there is nothing to ask yet
    buyer = shop.shopper()
    buyer.put_in_cart(LAMP)
    folder = shop.folder / "late"
    folder.mkdir()
    key = SHOP["GATEWAY_API_KEY"]
    simulator = Process(
        folder,
        {"DEMO": "True", "DEBUG": "False", "GATEWAY_API_KEY": key, "GATEWAY_PORT": str(port)},
    )
    simulator.start()
    try:
        for card, status in (("tok_good", 400), ("card-5d41402abc4b2a76", 503)):
            assert buyer.order(card).status_code == status
        ready = requests.get(f"{shop.url}/readyz", timeout=30).json()
        assert ready["checks"]["payments"].startswith("refused: the gateway is a simulator")
        headers = {"Authorization": f"Bearer {key}"}
        rows = requests.get(f"{simulator.url}/v1/charges", headers=headers, timeout=30).json()
        assert rows == {"charges": []}
        assert shop.query("Sale.objects.count()") == 0
    finally:
        simulator.stop()
