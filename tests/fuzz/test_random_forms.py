"""Random forms, generated and shrunk by hypothesis, for every path that customers post to."""

import pytest
from django.apps import apps
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from tests.support import ScriptedGateway, make_buyer, make_product, order_for

FIELDS_BY_PATH = {
    "/accounts/register/": ("username", "email", "password1", "password2", "next"),
    "/accounts/login/": ("username", "password", "next"),
    "/accounts/profile/": ("full_name", "phone", "path"),
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
# Failed log-ins are recorded, and a visitor gets a session.
MAY_CHANGE = {"retail.SecurityEvent", "accounts.Session"}

Values = st.one_of(
    st.text(max_size=200),
    st.integers().map(str),
    st.floats().map(str),
    st.uuids().map(str),
    st.emails(),
    st.sampled_from(["", "1", "0", "-1", "1" * 400, "\x00", "tok_good", "a@b@c", "٣", "[]", "//x"]),
)


def rows() -> dict[str, int]:
    """Return the number of rows of each table."""
    return {
        model._meta.label: model._base_manager.count()
        for model in apps.get_models()
        if model._meta.label not in MAY_CHANGE
    }


class RandomForms(TestCase):
    @pytest.fixture(autouse=True)
    def _gateway(self, scripted_gateway: ScriptedGateway) -> None:
        """Replace the gateway's client."""

    @settings(max_examples=100)
    @given(
        path=st.sampled_from(sorted(FIELDS_BY_PATH)),
        logged_in=st.booleans(),
        data=st.data(),
    )
    def test_a_refused_form_changes_nothing(
        self, path: str, logged_in: bool, data: st.DataObject
    ) -> None:
        buyer = make_buyer("somebody")
        order_for(buyer, make_product())
        client = Client()
        if logged_in:
            client.force_login(buyer)
        form = data.draw(st.dictionaries(st.sampled_from(FIELDS_BY_PATH[path]), Values))
        before = rows()
        response = client.post(path, form)
        assert response.status_code < 500
        if response.status_code >= 400:
            assert rows() == before
