"""What counts as a change by somebody else, and what a form shows after one."""

from __future__ import annotations

import pytest

from accounts.forms import ProfileForm
from accounts.models import UserProfile
from tests.support import make_buyer

pytestmark = pytest.mark.django_db

ROW = {"full_name": "Bea", "phone": "1", "address": "1 Street\nTown"}


def sent(shown: dict[str, str], typed: dict[str, str], row: dict[str, str]) -> ProfileForm:
    """Return a form that showed some values when somebody changed the row to others."""
    profile = UserProfile.objects.create(user=make_buyer(), **{**ROW, **row})
    data = {**ROW, **shown, **typed}
    initial = {f"initial-{name}": value for name, value in {**ROW, **shown}.items()}
    return ProfileForm({**data, **initial}, instance=profile)


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ("1 Street\nTown", "1 Street\r\nTown"),
        ("1 Street\r\nTown", "1 Street\nTown"),
        (" 1 Street\n", "1 Street"),
    ],
)
def test_another_line_break_or_outer_space_is_no_change(row: str, shown: str) -> None:
    form = sent({"address": shown}, {"address": "2 Street\r\nTown"}, {"address": row})
    assert form.is_valid()
    assert form.save().address == "2 Street\r\nTown"


def test_two_people_who_write_the_same_agree() -> None:
    form = sent({}, {"full_name": "Bea B."}, {"full_name": "Bea B."})
    assert form.is_valid()
    assert (form.conflicts, form.kept) == (set(), set())


def test_an_invalid_value_is_named_as_such_first() -> None:
    form = sent({}, {"phone": "1" * 31}, {"phone": "2"})
    assert form.errors == {"phone": ["Ensure this value has at most 30 characters (it has 31)."]}
    assert form.conflicts == set()


def test_a_value_that_somebody_else_has_mended_is_no_error() -> None:
    form = sent({"phone": "1" * 31}, {"full_name": "Bea B."}, {"phone": "2"})
    assert form.is_valid()
    saved = form.save()
    assert (saved.full_name, saved.phone) == ("Bea B.", "2")


def test_a_form_shown_again_has_the_rows_value_where_it_was_kept() -> None:
    form = sent({}, {"phone": "1" * 31}, {"full_name": "Bea B.", "address": "2 Street"})
    assert not form.is_valid()
    assert form.kept == {"full_name", "address"}
    hidden = form["full_name"].as_hidden(only_initial=True)
    assert 'name="initial-full_name" value="Bea B."' in hidden
    assert form["full_name"].value() == "Bea B."
    assert 'value="1"' in form["phone"].as_hidden(only_initial=True)


@pytest.mark.parametrize(("row", "shown"), [("", "“nothing”"), ("Cem", "“Cem”")])
def test_the_value_of_somebody_else_is_named(row: str, shown: str) -> None:
    form = sent({}, {"full_name": "Dot"}, {"full_name": row})
    [error] = form.errors["full_name"]
    assert str(error).startswith(f"This was changed to {shown} after you opened this page.")
    assert form.conflicts == {"full_name"}
