"""To be somebody else."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from tests.security.target import PASSWORD, TIMEOUT, Target, refused

FORGED = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP")
STAFF_PAGES = (
    *("/admin/", "/admin/auth/user/", "/admin/auth/user/add/", "/admin/orders/sale/"),
    *("/metrics/dashboard/", "/metrics/api/", "/metrics/alerts/", "/metrics/quality-scenarios/"),
    *("/metrics/runbooks/", "/metrics/dashboard/csv/", "/metrics/quality-scenarios.json"),
)
REDIRECTS = ("//evil.example", "https://evil.example", r"/\evil.example", "javascript:alert(1)")


def _forged(number: int) -> dict[str, str]:
    """Return headers that claim to come from yet another client."""
    return {
        name: f"for=203.0.113.{number}" if name == "Forwarded" else f"203.0.113.{number}"
        for name in FORGED
    }


def default_accounts(target: Target) -> None:
    """Log in with passwords that come with the software."""
    for name, password in (
        ("admin", "admin123"),
        ("admin", "admin"),
        ("admin", "mypassword123"),
        ("retail_user", "retail_password"),
    ):
        status = target.log_in(target.visitor(), name, password)
        refused(f"{name} logged in with {password}", status in {400, 429})


def guesses_from_forged_addresses(target: Target) -> None:
    """Guess one password from addresses that only the headers name."""
    name = f"victim-{secrets.token_hex(5)}"
    owner = target.customer(name)
    statuses = [
        target.log_in(target.visitor(), name, f"guess-{number}", **_forged(number))
        for number in range(8)
    ]
    refused(f"eight guesses were allowed: {statuses}", statuses[-1] == 429)
    right = target.log_in(target.visitor(), name, PASSWORD, **_forged(99))
    refused("a guesser with the right password got in", right == 429)
    owner.submit(owner.get("/"), "/accounts/logout/")
    again = target.log_in(owner, name, PASSWORD)
    refused(f"the owner is locked out of a known browser ({again})", again == 302)


def one_password_for_many_names(target: Target) -> None:
    """Try one password with many names."""
    statuses = [
        target.log_in(target.visitor(), f"name-{number}-{secrets.token_hex(3)}", PASSWORD)
        for number in range(36)
    ]
    refused(f"36 names were allowed: {set(statuses)}", statuses[-1] == 429)


def many_accounts(target: Target) -> None:
    """Register in numbers."""
    for _ in range(40):
        shopper = target.visitor()
        page = shopper.get("/accounts/register/")
        answer = shopper.submit(page, "/accounts/register/", username="x", password1="y")
        if answer.status_code == 429:
            return
    refused("40 registrations in a row", statement=False)


def whether_an_address_is_known(target: Target) -> None:
    """Learn from the password reset who has an account; then have letters sent in numbers."""
    answers = set()
    for address in ("admin@example.com", f"{secrets.token_hex(6)}@example.com"):
        shopper = target.visitor()
        page = shopper.submit(
            shopper.get("/accounts/password-reset/"), "/accounts/password-reset/", email=address
        )
        answers.add((page.status_code, urlsplit(page.url).path, len(page.text)))
    refused(f"the answers differ: {answers}", len(answers) == 1)
    statuses = []
    for _ in range(6):
        shopper = target.visitor()
        page = shopper.get("/accounts/password-reset/")
        answer = shopper.submit(page, "/accounts/password-reset/", email="victim@example.com")
        statuses.append(answer.status_code)
    refused(f"six letters: {statuses}", statuses[-1] == 429)


def staff_pages(target: Target) -> None:
    """Open the pages of staff as a stranger and as a customer."""
    for shopper in (target.visitor(), target.customer()):
        for path in STAFF_PAGES:
            answer = shopper.session.get(target.url + path, timeout=TIMEOUT, allow_redirects=False)
            refused(f"{path}: {answer.status_code}", answer.status_code in {302, 401, 403, 404})
            if answer.status_code == 302:
                refused(f"{path} leads astray", "login" in answer.headers["Location"])


def stolen_password(target: Target) -> None:
    """Use the password of staff, without their second factor."""
    if not target.staff:
        return
    name, _, password = target.staff.partition(":")
    thief = target.visitor()
    refused("(the password is wrong)", target.log_in(thief, name, password) == 302)
    for path in STAFF_PAGES:
        answer = thief.session.get(target.url + path, timeout=TIMEOUT, allow_redirects=False)
        place = answer.headers.get("Location", "")
        refused(f"{path}: {answer.status_code}", place.startswith("/accounts/second-factor/"))


def own_promotion(target: Target) -> None:
    """Make oneself staff by a field that the form does not have."""
    shopper = target.customer()
    profile = shopper.get("/accounts/profile/")
    rights = {"is_staff": "on", "is_superuser": "on", "user": "1", "user_id": "1", "groups": "1"}
    shopper.submit(profile, "/accounts/profile/", **rights)
    answer = shopper.session.get(target.url + "/admin/", timeout=TIMEOUT, allow_redirects=False)
    refused("a customer is staff", answer.status_code in {302, 403})


def forged_forms(target: Target) -> None:
    """Have a customer's browser send forms from another site."""
    shopper = target.customer()
    paths = ("/cart/add/", "/cart/update/", "/checkout/", "/accounts/profile/", "/accounts/logout/")
    for path in paths:
        for headers in ({}, {"Origin": "https://evil.example", "Referer": "https://evil.example/"}):
            answer = shopper.session.post(
                target.url + path, data={"a": "b"}, headers=headers, timeout=TIMEOUT
            )
            refused(f"{path} without a token", answer.status_code == 403)
    token = shopper.session.cookies["csrftoken"]
    answer = shopper.session.post(
        target.url + "/accounts/logout/",
        data={"csrfmiddlewaretoken": token},
        headers={"Origin": "https://evil.example"},
        timeout=TIMEOUT,
    )
    refused("a form of another site with the right token", answer.status_code == 403)


def fixed_session(target: Target) -> None:
    """Give a visitor a session to log in with."""
    shopper = target.visitor()
    shopper.session.cookies.set("sessionid", "a" * 32)
    shopper.session.cookies.set("csrftoken", "b" * 32)
    page = shopper.get("/accounts/register/")
    name = f"victim-{secrets.token_hex(5)}"
    shopper.submit(
        page, "/accounts/register/", username=name, password1=PASSWORD, password2=PASSWORD
    )
    thief = target.visitor()
    thief.session.cookies.set("sessionid", "a" * 32)
    refused("the session is shared", name not in thief.get("/accounts/profile/").text)


def way_out(target: Target) -> None:
    """Lead a customer who logs in to another site."""
    for address in REDIRECTS:
        name = f"victim-{secrets.token_hex(5)}"
        shopper = target.customer(name)
        answer = shopper.session.get(
            target.url + "/accounts/register/",
            params={"next": address},
            timeout=TIMEOUT,
            allow_redirects=False,
        )
        place = answer.headers.get("Location", "/")
        refused(f"next={address} leads to {place}", place.startswith("/") and place[:2] != "//")
        refused(f"next={address} leads to {place}", "\\" not in place)


ATTACKS = (
    *(default_accounts, guesses_from_forged_addresses, whether_an_address_is_known, staff_pages),
    *(stolen_password, own_promotion, forged_forms, fixed_session, way_out),
)
FLOODS = (one_password_for_many_names, many_accounts)
