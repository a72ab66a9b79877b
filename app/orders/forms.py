"""The checkout's form."""

import uuid

from django import forms

# The simulator's test cards. The shop stores the token, which stands for a card, and nothing else.
TEST_CARDS = (
    ("tok_good", "Test card that is accepted"),
    ("tok_declined", "Test card that is declined"),
    ("tok_slow", "Test card whose bank takes its time"),
)


class CheckoutForm(forms.Form):
    """Where it goes and how it is paid."""

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
    # The same form sent twice is one order.
    idempotency_key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    # What the buyer saw and agreed to: `cart.selectors.fingerprint` of the lines.
    lines_shown = forms.CharField(max_length=64, widget=forms.HiddenInput)
