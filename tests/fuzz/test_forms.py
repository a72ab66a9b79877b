"""Every form of the shop, submitted with hostile values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.forms import Form, forms_of
from tests.fuzz.fuzzer import FuzzRequest
from tests.fuzz.routes import routes

if TYPE_CHECKING:
    from tests.fuzz.conftest import FuzzSession

# Forms that the test must find.
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
VALID = 12  # valid submissions of each form of the shop
TRIES = 6  # at a route with parameters, since some rows have no form


def _forms(session: FuzzSession) -> list[Form]:
    """Open every page as every user and return the forms found."""
    forms: dict[object, Form] = {}
    for route in [each for each in routes() for _ in range(TRIES if each.parameters else 1)]:
        for actor in session.fuzzer.world.sessions:
            path = route.path(session.fuzzer.world.real(route, session.rng))
            response = session.fuzzer.send_and_check(FuzzRequest(actor, "GET", path.encode()))
            if response is not None and "html" in response.headers.get("Content-Type", ""):
                for form in forms_of(response.content.decode(), actor, path):
                    forms[form.key] = form
    return list(forms.values())


def test_no_form_breaks_the_shop_or_changes_other_tables(session: FuzzSession) -> None:
    fuzzer, rng = session.fuzzer, session.rng
    forms = _forms(session)
    assert {(form.actor, form.action) for form in forms} >= KNOWN
    # Half of the requests go to the shop, although the admin has most of the forms.
    admin = [[form] for form in forms if form.action.startswith("/admin/")]
    actions = sorted({form.action for form in forms if not form.action.startswith("/admin/")})
    shop = [[form for form in forms if form.action == action] for action in actions]
    for form in [rng.choice(same) for same in shop for _ in range(VALID)]:
        fuzzer.send_and_check(form.request(rng, mutations=(0,)))
    for _ in range(session.requests // 4 - VALID * len(shop)):
        fuzzer.send_and_check(rng.choice(rng.choice(rng.choice((admin, shop)))).request(rng))
    assert fuzzer.tally.changed.keys() >= {"cart:add", "accounts:register", "orders:checkout"}
