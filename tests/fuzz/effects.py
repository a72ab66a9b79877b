"""Which tables a request may change, and why. What is not named here may change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.http import HttpResponse

    from tests.fuzz.shots import Shot

CART = frozenset({"cart_cart", "cart_cartitem"})
SESSION = frozenset({"accounts_session"})
# Failed log-ins are counted, old ones forgotten, and a good one forgets them too.
LOG_INS = frozenset({"axes_accessattempt"})

# What a form with a valid token is for, by the name of its address.
PURPOSES: dict[str, frozenset[str]] = {
    "cart:add": CART | SESSION,  # the session knows a visitor's cart
    "cart:update": CART | SESSION,
    "accounts:register": CART | SESSION | LOG_INS | {"auth_user"},  # logs in, takes the cart along
    "accounts:login": CART | SESSION | LOG_INS | {"auth_user"},  # notes when
    "accounts:logout": SESSION,
    "accounts:profile": frozenset({"accounts_userprofile"}),
    "accounts:password_reset_confirm": SESSION | {"auth_user"},
    "admin:login": SESSION | LOG_INS | {"auth_user"},
    "admin:logout": SESSION,
    "admin:password_change": SESSION | {"auth_user"},  # one's own, for all staff
    "orders:checkout": CART
    | {
        *("orders_sale", "orders_saleitem", "orders_payment", "payments_circuitbreaker"),
        *("products_product", "products_stockmovement", "accounts_userprofile"),
        "django_q_ormq",  # a flash sale's payment and the letter are jobs
    },
}
# What staff may change in the admin: never money, never what the shop notes of itself.
ADMIN = frozenset(
    {
        *("auth_user", "auth_user_groups", "auth_user_user_permissions"),
        *("auth_group", "auth_group_permissions", "accounts_userprofile"),
        *("products_category", "products_product", "products_stockmovement"),
        *("cart_cart", "cart_cartitem"),  # go with their customer
        *("django_admin_log", "accounts_session"),
        "payments_circuitbreaker",  # may be forced open or closed
        *("axes_accessattempt", "axes_accessfailurelog", "axes_accesslog"),
        *("django_q_task", "django_q_ormq"),  # what jobs left behind may be cleared away
    }
)
# A refused form changes nothing, but: a failed log-in is counted, and asking the payments' circuit
# breaker leaves its mark.
REFUSALS: dict[str, frozenset[str]] = {
    "accounts:login": LOG_INS,
    "admin:login": LOG_INS,
    "orders:checkout": frozenset({"payments_circuitbreaker"}),
}
# The password link's secret moves from the address into the session, so that no referrer tells it.
UNASKED: dict[str, frozenset[str]] = {"accounts:password_reset_confirm": SESSION}


def allowed(shot: Shot, name: str, response: HttpResponse) -> frozenset[str]:
    """Return the tables that a request to the address `name`, answered so, may have changed."""
    if not shot.live:
        return UNASKED.get(name, frozenset()) if response.status_code == 302 else frozenset()
    done = response.status_code == 302 or b"_popup" in shot.body + shot.query
    if not done:
        return REFUSALS.get(name, frozenset())
    if shot.actor == "staff" and shot.path.startswith(b"/admin/"):
        return ADMIN
    return PURPOSES.get(name, frozenset())
