"""Forms of the cart."""

from django import forms

from cart.models import MAX_QUANTITY


class QuantityForm(forms.Form):
    """A product and its quantity; 0 removes it from the cart."""

    product_id = forms.IntegerField(min_value=1, max_value=2**63 - 1)
    quantity = forms.IntegerField(min_value=0, max_value=MAX_QUANTITY)


class AddForm(QuantityForm):
    """A product to add. Each page that shows this form has another key."""

    form_key = forms.UUIDField(required=False)
