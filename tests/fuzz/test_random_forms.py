"""Random forms, found and shrunk by hypothesis, to every address that takes one from a customer."""

import pytest
from django.apps import apps
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from tests.support import ScriptedGateway, make_buyer, make_product, order_for

ADDRESSES = {
    "/accounts/register/": ("username", "email", "password1", "password2", "next"),
    "/accounts/login/": ("username", "password", "next"),
    "/accounts/profile/": ("full_name", "phone", "address"),
    "/accounts/password-reset/": ("email",),
    "/cart/add/": ("product_id", "quantity"),
    "/cart/update/": ("product_id", "quantity"),
    "/checkout/": (
        "delivery_name",
        "delivery_address",
        "payment_token",
        "idempotency_key",
        "lines_shown",
    ),
}
# Who has failed to log in is remembered, and a visitor gets a session.
MAY_CHANGE = {"axes.AccessAttempt", "axes.AccessFailureLog", "accounts.Session"}

Values = st.one_of(
    st.text(max_size=200),
    st.integers().map(str),
    st.floats().map(str),
    st.uuids().map(str),
    st.emails(),
    st.sampled_from(["", "1", "0", "-1", "1" * 400, "\x00", "tok_good", "a@b@c", "٣", "[]", "//x"]),
)


def rows() -> dict[str, int]:
    """Return how many rows each table has."""
    return {
        model._meta.label: model._base_manager.count()
        for model in apps.get_models()
        if model._meta.label not in MAY_CHANGE
    }


class RandomForms(TestCase):
    @pytest.fixture(autouse=True)
    def _gateway(self, scripted_gateway: ScriptedGateway) -> None:
        """Nobody is charged for real."""

    @settings(max_examples=100)
    @given(
        address=st.sampled_from(sorted(ADDRESSES)),
        logged_in=st.booleans(),
        data=st.data(),
    )
    def test_a_form_is_refused_without_a_trace_or_does_what_it_is_for(
        self, address: str, logged_in: bool, data: st.DataObject
    ) -> None:
        buyer = make_buyer("somebody")
        order_for(buyer, make_product())
        client = Client()
        if logged_in:
            client.force_login(buyer)
        form = data.draw(st.dictionaries(st.sampled_from(ADDRESSES[address]), Values))
        before = rows()
        answer = client.post(address, form)
        assert answer.status_code < 500
        if answer.status_code >= 400:
            assert rows() == before
