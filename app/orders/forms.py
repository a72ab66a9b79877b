"""The checkout form."""

import uuid

from django import forms

# The simulator's test cards. The shop stores only the token that identifies a card.
TEST_CARDS = (
    ("tok_good", "Test card that is accepted"),
    ("tok_declined", "Test card that is declined"),
    ("tok_slow", "Test card with a slow bank"),
)


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
    payment_token = forms.ChoiceField(
        label="Payment", choices=TEST_CARDS, initial="tok_good", widget=forms.RadioSelect
    )
    # Submitting the same form twice places one order.
    idempotency_key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    # The lines and prices the buyer saw, as `cart.selectors.fingerprint`.
    lines_shown = forms.CharField(max_length=64, widget=forms.HiddenInput)
