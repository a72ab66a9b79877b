"""Every form of the shop, sent with what no person would type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.addresses import addresses
from tests.fuzz.forms import Form, forms_of
from tests.fuzz.shots import Shot

if TYPE_CHECKING:
    from tests.fuzz.conftest import Range

# Forms that there must be, else this test does not find what it should.
KNOWN = {
    ("visitor", "/accounts/login/"),
    ("visitor", "/accounts/register/"),
    ("visitor", "/accounts/password-reset/"),
    ("customer", "/accounts/profile/"),
    ("customer", "/accounts/logout/"),
    ("customer", "/cart/add/"),
    ("customer", "/cart/update/"),
    ("customer", "/checkout/"),
    ("staff", "/admin/products/product/add/"),
}
WHOLE = 12  # times that each form of the shop is sent as a person would
TRIES = 3  # at an address with parameters, since some of what is real has no form


def _forms(shooting: Range) -> list[Form]:
    """Open every page as everybody and return the forms there."""
    found: dict[object, Form] = {}
    for address in [one for one in addresses() for _ in range(TRIES if one.parameters else 1)]:
        for actor in shooting.gun.world.sessions:
            path = address.path(shooting.gun.world.real(address, shooting.rng))
            response = shooting.gun.fire(Shot(actor, "GET", path.encode()))
            if response is not None and "html" in response.headers.get("Content-Type", ""):
                for form in forms_of(response.content.decode(), actor, path):
                    found[form.key] = form
    return list(found.values())


def test_no_form_breaks_the_shop_or_does_what_it_is_not_for(shooting: Range) -> None:
    gun, rng = shooting.gun, shooting.rng
    forms = _forms(shooting)
    assert {(form.actor, form.action) for form in forms} >= KNOWN
    # The admin has most of the forms, and the shop most of the visitors.
    admin = [[form] for form in forms if form.action.startswith("/admin/")]
    actions = sorted({form.action for form in forms if not form.action.startswith("/admin/")})
    shop = [[form for form in forms if form.action == action] for action in actions]
    for form in [rng.choice(same) for same in shop for _ in range(WHOLE)]:
        gun.fire(form.shot(rng, wrong=(0,)))
    for _ in range(shooting.requests // 4 - WHOLE * len(shop)):
        gun.fire(rng.choice(rng.choice(rng.choice((admin, shop)))).shot(rng))
    assert gun.tally.did.keys() >= {"cart:add", "accounts:register", "orders:checkout"}
