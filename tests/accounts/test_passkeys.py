"""Answers of passkeys are right once, in time, for their user, and at the shop's address."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers import bytes_to_base64url as encoded

from accounts.models import Passkey, RecoveryCodes
from accounts.passkey_site import Site
from accounts.passkeys import (
    CHALLENGE_SECONDS,
    MOST_PASSKEYS,
    PasskeyRefusedError,
    passkey_add,
    passkey_verify,
    question_to_add,
    question_to_use,
)
from accounts.sessions import SessionStore
from retail.models import SecurityEvent
from tests.accounts.authenticator import ORIGIN, PRESENT, RP_ID, VERIFIED, Authenticator
from tests.accounts.factors import Clock, enrol, make_staff

if TYPE_CHECKING:
    from django.contrib.auth.models import User

pytestmark = pytest.mark.django_db
SITE = Site(ORIGIN, RP_ID)
REFUSED = "This is not a passkey that the shop can use"
LATE = "This took too long, or was sent twice"


class Visit:
    """A user's session, and what they send with it."""

    def __init__(self, user: User) -> None:
        self.user, self.session = user, SessionStore()

    def to_add(self) -> dict[str, Any]:
        return question_to_add(self.session, SITE, self.user, "Vitrine")

    def to_use(self) -> dict[str, Any]:
        return question_to_use(self.session, SITE, self.user)

    def add(self, answer: object, *, may_add: bool = True) -> list[str]:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return passkey_add(
            session=self.session,
            site=SITE,
            user=self.user,
            name="Laptop",
            answer=text,
            may_add=may_add,
        )

    def use(self, answer: object) -> bool:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        kind = passkey_verify(session=self.session, site=SITE, user=self.user, answer=text)
        return kind is not None


@pytest.fixture
def stella() -> Visit:
    return Visit(make_staff())


@pytest.fixture
def hers(stella: Visit) -> Authenticator:
    """Give stella a passkey."""
    authenticator = Authenticator()
    assert len(stella.add(authenticator.create(stella.to_add()))) == 10
    return authenticator


def why() -> str:
    """Return why the last answer was wrong."""
    event = SecurityEvent.objects.filter(event="factor_used").latest("pk")
    assert event.outcome == "failed"
    return event.detail.removeprefix("passkey: ")


def test_a_passkey_is_added_and_used(stella: Visit, hers: Authenticator) -> None:
    passkey = Passkey.objects.get()
    assert (passkey.user, passkey.name, passkey.last_used_at) == (stella.user, "Laptop", None)
    assert stella.use(hers.get(stella.to_use()))
    passkey.refresh_from_db()
    assert passkey.last_used_at is not None
    events = SecurityEvent.objects.filter(event__startswith="factor").order_by("pk")
    assert list(events.values_list("event", "outcome", "detail")) == [
        ("factor_added", "succeeded", "passkey"),
        ("factor_added", "succeeded", "recovery codes"),
        ("factor_used", "succeeded", "passkey"),
    ]


def test_what_the_browser_is_asked(stella: Visit, hers: Authenticator) -> None:
    known = [{"id": encoded(hers.id), "type": "public-key"}]
    add, use = stella.to_add(), stella.to_use()
    assert add["rp"] == {"name": "Vitrine", "id": "localhost"}
    assert add["attestation"] == "none"
    assert add["excludeCredentials"] == use["allowCredentials"] == known
    assert add["authenticatorSelection"]["userVerification"] == "preferred"
    assert (use["userVerification"], use["rpId"]) == ("preferred", "localhost")
    assert stella.user.username not in str(base64url_to_bytes(add["user"]["id"]))
    assert len({add["challenge"], use["challenge"], stella.to_use()["challenge"]}) == 3


def test_a_device_that_verifies_nobody_is_enough(stella: Visit, hers: Authenticator) -> None:
    hers.flags = PRESENT
    assert stella.use(hers.get(stella.to_use()))
    hers.flags = VERIFIED  # but nobody has touched it
    assert not stella.use(hers.get(stella.to_use()))


def test_an_answer_is_good_for_once(stella: Visit, hers: Authenticator) -> None:
    answer = hers.get(stella.to_use())
    assert stella.use(answer)
    assert not stella.use(answer)
    assert why() == "no question"
    stella.to_use()
    assert not stella.use(answer)
    assert why() == "wrong answer"


def test_a_wrong_answer_ends_its_question(stella: Visit, hers: Authenticator) -> None:
    answer = hers.get(stella.to_use())
    assert not stella.use("{}")
    assert not stella.use(answer)
    assert why() == "no question"


def test_a_registration_is_good_for_once(stella: Visit, hers: Authenticator) -> None:
    answer = Authenticator().create(stella.to_add())
    assert stella.add(answer) == []
    with pytest.raises(PasskeyRefusedError, match=LATE):
        stella.add(answer)
    assert Passkey.objects.count() == 2


@pytest.mark.parametrize(("later", "right"), [(-1, True), (1, False)])
def test_a_question_is_open_for_a_time(
    later: int, right: bool, stella: Visit, hers: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    monkeypatch.setattr("accounts.passkeys.time", clock)
    use, add = Visit(stella.user), Visit(stella.user)
    answer, other = hers.get(use.to_use()), Authenticator().create(add.to_add())
    clock.now += CHALLENGE_SECONDS + later
    assert use.use(answer) is right
    if right:
        assert add.add(other) == []
    else:
        with pytest.raises(PasskeyRefusedError, match=LATE):
            add.add(other)


def test_a_question_is_for_one_purpose_and_user(stella: Visit, hers: Authenticator) -> None:
    assert not stella.use(hers.get(stella.to_add()))
    assert why() == "no question"
    with pytest.raises(PasskeyRefusedError, match=LATE):
        stella.add(Authenticator().create(stella.to_use()))
    answer = hers.get(stella.to_use())
    otto = Visit(make_staff("otto"))
    otto.session = stella.session
    assert not otto.use(answer)
    assert why() == "no question"


def test_a_passkey_of_another_user_is_unknown(stella: Visit, hers: Authenticator) -> None:
    otto = Visit(make_staff("otto"))
    otto.add(Authenticator().create(otto.to_add()))
    assert not otto.use(hers.get(otto.to_use()))
    assert why() == "unknown"


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "https://localhost"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "http://localhost:8001"},
        {"rp_id": "evil.example"},
    ],
)
def test_an_answer_given_elsewhere_is_refused(
    changes: dict[str, str], stella: Visit, hers: Authenticator
) -> None:
    with pytest.raises(PasskeyRefusedError, match=REFUSED):
        stella.add(Authenticator(**changes).create(stella.to_add()))
    vars(hers).update(changes)
    assert not stella.use(hers.get(stella.to_use()))
    assert why() == "wrong answer"
    assert Passkey.objects.count() == 1


def test_another_key_signs_wrongly(stella: Visit, hers: Authenticator) -> None:
    hers.key = Authenticator().key
    assert not stella.use(hers.get(stella.to_use()))
    assert why() == "wrong answer"
    assert Passkey.objects.get().last_used_at is None


def test_a_counter_that_went_back_is_refused(stella: Visit, hers: Authenticator) -> None:
    for count, right in ((5, True), (6, True), (6, False), (4, False), (0, False), (7, True)):
        hers.count = count
        assert stella.use(hers.get(stella.to_use())) is right
        assert right or why() == "counter went back"
    assert Passkey.objects.get().sign_count == 7


def test_a_passkey_is_added_once(stella: Visit, hers: Authenticator) -> None:
    """Also from two accounts: whoever is second is stopped by the database."""
    for visit in (stella, Visit(make_staff("otto"))):
        with pytest.raises(PasskeyRefusedError, match="has been added before"):
            visit.add(hers.create(visit.to_add()))
    assert Passkey.objects.get().user == stella.user
    assert RecoveryCodes.objects.get().user == stella.user


def test_a_password_alone_adds_none_beside_another_factor(
    stella: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(stella.user, Clock(monkeypatch))
    answer = Authenticator().create(stella.to_add())
    with pytest.raises(PasskeyRefusedError, match="Log in again with your second factor"):
        stella.add(answer, may_add=False)
    assert not Passkey.objects.exists()


def test_a_user_has_so_many(stella: Visit) -> None:
    for _ in range(MOST_PASSKEYS):
        stella.add(Authenticator().create(stella.to_add()))
    with pytest.raises(PasskeyRefusedError, match="too many passkeys"):
        stella.add(Authenticator().create(stella.to_add()))


def test_an_id_of_any_length_is_refused_in_words(stella: Visit) -> None:
    long = Authenticator()
    long.id = bytes(1023)
    assert stella.add(long.create(stella.to_add()))
    long.id = bytes(1024)
    with pytest.raises(PasskeyRefusedError, match=REFUSED):
        stella.add(long.create(stella.to_add()))


DEEP = 9_000
MALFORMED = [
    *("", "null", "[]", "{}", '"x"', "NaN", "{", "\x00", '{"id": "\ud800"}'),
    *("[" * DEEP, '{"a":' * DEEP, "1" * DEEP),
]
# CBOR: nested lists, endless lists, huge lengths, a tag of a huge number.
CBOR = [
    *(b"", b"\xff", b"\x81" * DEEP, b"\x9f" * DEEP, b"\xbb" + b"\xff" * 8, b"\x5b" + b"\xff" * 8),
    *(b"\xc2\x59\x20\x00" + b"\xff" * 8192, b"\xa1\x01\x02", b"\xa0"),
]


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_json_is_refused(text: str, stella: Visit, hers: Authenticator) -> None:
    stella.to_use()
    assert not stella.use(text)
    stella.to_add()
    with pytest.raises(PasskeyRefusedError, match=REFUSED):
        stella.add(text)


@pytest.mark.parametrize("value", CBOR, ids=range(len(CBOR)))
@pytest.mark.parametrize("part", ["attestationObject", "clientDataJSON"])
def test_malformed_bytes_are_refused(part: str, value: bytes, stella: Visit) -> None:
    answer = Authenticator().create(stella.to_add())
    answer["response"][part] = encoded(value)
    with pytest.raises(PasskeyRefusedError, match=REFUSED):
        stella.add(answer)
    assert not Passkey.objects.exists()


@pytest.mark.parametrize("part", ["authenticatorData", "clientDataJSON", "signature"])
def test_a_changed_byte_makes_an_answer_wrong(
    part: str, stella: Visit, hers: Authenticator
) -> None:
    rng = Random(part)  # noqa: S311 - the same bytes each time
    for _ in range(20):
        answer = hers.get(stella.to_use())
        changed(answer, part, rng)
        assert not stella.use(answer)


def test_a_changed_byte_makes_a_registration_wrong_at_most(stella: Visit) -> None:
    """Without attestation, a changed id is only another id."""
    rng = Random(1)  # noqa: S311 - the same
    refused = 0
    for _ in range(60):
        answer = Authenticator().create(stella.to_add())
        changed(answer, "attestationObject", rng)
        try:
            stella.add(answer)
        except PasskeyRefusedError:
            refused += 1
        Passkey.objects.all().delete()
    assert 20 < refused < 60


def changed(answer: dict[str, Any], part: str, rng: Random) -> None:
    """Change a byte of a part of an answer."""
    value = bytearray(base64url_to_bytes(answer["response"][part]))
    value[rng.randrange(len(value))] ^= rng.randint(1, 255)
    answer["response"][part] = encoded(bytes(value))


def test_a_process_that_meets_no_passkey_does_not_load_the_library() -> None:
    code = "import sys, django; django.setup(); import accounts.passkey_views, config.urls"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print('webauthn' in sys.modules)"],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DEBUG": "True", "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
