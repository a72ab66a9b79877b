"""Tables that each request may change, and why. All other requests may change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.http import HttpResponse

    from tests.fuzz.fuzzer import FuzzRequest

CART = frozenset({"cart_cart", "cart_cartitem"})
SESSION = frozenset({"accounts_session"})
TRAIL = frozenset({"retail_securityevent"})
ADDRESS = frozenset({"accounts_emailaddress", "retail_email"})  # and the e-mails about it
FACTOR = frozenset({"otp_totp_totpdevice", "accounts_passkey", "accounts_recoverycodes"})
# What a cancellation or a refund changes, and what a return does.
REFUND = frozenset({"orders_payment", "returns_refund", "retail_email"})
STOCK = frozenset({"products_product", "products_stockmovement", "products_heldstock"})
CANCELLED = REFUND | STOCK | {"orders_sale"}
RETURN = frozenset({"returns_return", "returns_returnitem", "retail_email"})
HISTORY = frozenset({"django_admin_log"})  # what staff did
JOB = frozenset({"django_q_ormq"})
# A file of a partner: received or decided on. It is read and applied by the worker.
FEED = frozenset({"partner_feeds_ingestion", "partner_feeds_filepart", "partner_feeds_stagedrow"})

# What a form with a valid CSRF token may change, by route name.
ALLOWED_BY_ROUTE: dict[str, frozenset[str]] = {
    "cart:add": CART | SESSION,  # the session stores a visitor's cart id
    "cart:update": CART | SESSION,
    # Logs in and merges the cart.
    "accounts:register": CART | SESSION | TRAIL | ADDRESS | {"auth_user"},
    "accounts:login": CART | SESSION | TRAIL | {"auth_user"},  # last_login
    "accounts:logout": SESSION | TRAIL,
    "accounts:sessions": SESSION | TRAIL,
    "accounts:factor_check": SESSION | TRAIL | FACTOR,
    "accounts:factor_set_up": SESSION | TRAIL | FACTOR,
    "accounts:passkey_check": SESSION | TRAIL | FACTOR,
    "accounts:passkey_add": SESSION | TRAIL | FACTOR,
    "accounts:passkey_remove": SESSION | TRAIL | FACTOR,
    "accounts:recovery_codes": TRAIL | FACTOR,
    "accounts:factor_remove": SESSION | TRAIL | FACTOR,
    "accounts:profile": SESSION | {"accounts_userprofile"},  # as for the checkout
    "accounts:email": ADDRESS | TRAIL,
    "accounts:email_resend": ADDRESS | TRAIL,
    "accounts:confirm_email": ADDRESS | TRAIL | {"auth_user"},
    "accounts:password": SESSION | TRAIL | {"auth_user", "retail_email"},
    "accounts:password_reset": frozenset({"retail_email"}) | TRAIL,
    "accounts:password_reset_confirm": SESSION | TRAIL | {"auth_user"},
    "admin:login": SESSION | TRAIL | {"auth_user"},
    "admin:logout": SESSION | TRAIL,
    "admin:password_change": SESSION | TRAIL | {"auth_user"},  # staff may change their own
    "returns:request": RETURN | SESSION,  # as for the checkout
    "returns:cancel": CANCELLED,
    "returns:desk_order": CANCELLED | RETURN | HISTORY,
    "returns:desk_refund": REFUND | HISTORY,
    "returns:desk_return": REFUND | RETURN | STOCK | HISTORY,
    "partner_feeds:desk_partner": JOB | HISTORY,
    "partner_feeds:desk_upload": FEED | JOB | HISTORY,
    "partner_feeds:desk_ingestion": FEED | JOB | HISTORY,
    "partner_feeds:desk_keys": HISTORY | {"partner_feeds_pushkey"},
    "orders:checkout": CART
    | SESSION  # a form is kept while its sender logs in
    | {
        *("orders_sale", "orders_saleitem", "orders_payment", "payments_circuitbreaker"),
        *("products_product", "products_stockmovement", "accounts_userprofile"),
        "retail_email",
    },
}
# What staff may change in the admin: never money or telemetry.
ADMIN = frozenset(
    {
        *("auth_user", "auth_user_groups", "auth_user_user_permissions"),
        *("auth_group", "auth_group_permissions", "accounts_userprofile"),
        *("products_category", "products_product", "products_stockmovement"),
        *("cart_cart", "cart_cartitem"),  # deleted with their customer
        "partner_feeds_partner",
        *("django_admin_log", "accounts_session"),
        "payments_circuitbreaker",  # may be forced open or closed
        *("django_q_task", "django_q_ormq"),  # old tasks may be deleted
        "retail_email",  # may be sent again
        "orders_sale",  # may be dispatched
        *FACTOR,  # removed by superusers
        "accounts_emailaddress",  # must be confirmed
        *TRAIL,
    }
)
# A refused form changes nothing, except that a failed log-in is recorded and the first checkout
# creates the circuit breaker's row.
REFUSALS: dict[str, frozenset[str]] = {
    "accounts:login": TRAIL,
    "admin:login": TRAIL,
    # So is a wrong password.
    **dict.fromkeys(
        (
            *("accounts:factor_set_up", "accounts:recovery_codes", "accounts:factor_remove"),
            *("accounts:passkey_remove", "accounts:email", "accounts:password", "accounts:erase"),
            "accounts:data",  # a download is no redirect
        ),
        TRAIL,
    ),
    # The session has the challenge of a passkey until it is answered.
    **dict.fromkeys(
        (
            *("accounts:passkey_check", "accounts:passkey_question"),
            *("accounts:passkey_add", "accounts:passkey_add_question"),
        ),
        SESSION | TRAIL,
    ),
    "orders:checkout": frozenset({"payments_circuitbreaker"}),
    # A new key is shown in the answer, and nowhere else.
    "partner_feeds:desk_keys": HISTORY | {"partner_feeds_pushkey"},
}
# Django moves the reset token from the URL into the session, so that no Referer header leaks it.
ALLOWED_FOR_GET: dict[str, frozenset[str]] = {"accounts:password_reset_confirm": SESSION}


def allowed(request: FuzzRequest, name: str, response: HttpResponse) -> frozenset[str]:
    """Return the tables that a request to the route `name` with this response may have changed."""
    if not request.live:
        return (
            ALLOWED_FOR_GET.get(name, frozenset()) if response.status_code == 302 else frozenset()
        )
    succeeded = response.status_code == 302 or b"_popup" in request.body + request.query
    if not succeeded:
        return REFUSALS.get(name, frozenset())
    if request.actor == "staff" and request.path.startswith(b"/admin/"):
        return ADMIN
    return ALLOWED_BY_ROUTE.get(name, frozenset())
