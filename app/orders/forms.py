"""The checkout form."""

import uuid
from typing import Any

from django import forms
from django.conf import settings

from payments.cards import TEST_CARDS, card_problem


class CheckoutForm(forms.Form):
    """Delivery details and payment method of an order."""

    delivery_name = forms.CharField(
        label="Name", max_length=120, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    delivery_address = forms.CharField(
        label="Address",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "street-address"}),
    )
    email = forms.EmailField(
        label="E-mail",
        required=False,
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
        help_text="Your receipt goes here. If empty, to your account's address.",
    )
    payment_token = forms.CharField(
        label="Card token",
        max_length=64,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="The token that stands for your card at our payment provider.",
    )
    # Submitting the same form twice places one order.
    idempotency_key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    # The lines and prices the buyer saw, as `cart.selectors.fingerprint`.
    lines_shown = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if settings.STAND_INS:
            self.fields["payment_token"] = forms.ChoiceField(
                label="Payment", choices=TEST_CARDS, initial="tok_good", widget=forms.RadioSelect
            )

    def clean_payment_token(self) -> str:
        """Refuse what is no card, or a test card where none is taken."""
        token: str = self.cleaned_data["payment_token"]
        if problem := card_problem(token):
            raise forms.ValidationError(problem)
        return token
