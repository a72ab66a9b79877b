"""Forms of returns and refunds."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django import forms

from returns.models import Refund, Return
from returns.services import Inspected

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from django.forms.boundfield import BoundField

    from returns.models import ReturnItem
    from returns.pages import Line

NONE_CHOSEN = "Choose how many units to return."
_WORDS_ROWS = {"rows": 3}


class UnitsField(forms.IntegerField):
    """A number of units; empty means none. `short` is its label within its row."""

    short = ""


def _units(label: str, most: int, *, short: str = "", **options: Any) -> UnitsField:
    field = UnitsField(
        label=label,
        required=False,
        min_value=0,
        max_value=most,
        error_messages={
            "invalid": "Enter a whole number.",
            "min_value": "Enter a number from 0.",
            "max_value": "Enter at most %(limit_value)s.",
        },
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
        **options,
    )
    field.short = short
    return field


def _words(label: str, *, required: bool = False, help_text: str = "") -> forms.CharField:
    return forms.CharField(
        label=label,
        required=required,
        max_length=500,
        widget=forms.Textarea(attrs=_WORDS_ROWS),
        help_text=help_text,
    )


def _amount(label: str, **options: Any) -> forms.DecimalField:
    messages = {"invalid": "Enter an amount, such as 12.50."}
    return forms.DecimalField(
        label=label, max_digits=12, decimal_places=2, error_messages=messages, **options
    )


class RequestForm(forms.Form):
    """What a customer returns of an order, and why."""

    reason = forms.ChoiceField(
        label="Reason", choices=[("", "Choose a reason"), *Return.Reason.choices]
    )
    note = _words("What should we know about it?")
    # Submitting the same form twice requests one return.
    form_key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)

    def __init__(self, *args: Any, lines: Sequence[Line], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lines = [line for line in lines if line.left]
        for line in self.lines:
            name = f"units_{line.item.pk}"
            self.fields[name] = _units(line.item.product_name, line.left, initial=0)

    def rows(self) -> list[tuple[Line, BoundField]]:
        """Return each line with its field."""
        return [(line, self[f"units_{line.item.pk}"]) for line in self.lines]

    def units(self) -> dict[int, int]:
        """Return the units chosen, by the line's id."""
        data = self.cleaned_data
        return {line.item.pk: data.get(f"units_{line.item.pk}") or 0 for line in self.lines}

    def clean(self) -> dict[str, Any]:
        """Refuse a return of nothing."""
        fields = [f"units_{line.item.pk}" for line in self.lines]
        if fields and not any(self.units().values()) and not self.errors.keys() & set(fields):
            self.add_error(fields[0], NONE_CHOSEN)
        return self.cleaned_data


class DecideForm(forms.Form):
    """Which units of a return are approved, and what the customer is told."""

    answer = _words(
        "Message to the customer",
        help_text="Needed if you reject the return or approve fewer units.",
    )

    def __init__(self, *args: Any, items: Sequence[ReturnItem], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.items = items
        for item in items:
            name, most = item.sale_item.product_name, item.requested
            self.fields[f"approved_{item.pk}"] = _units(
                f"Approved units of {name}", most, short="Approve", initial=most
            )

    def rows(self) -> list[tuple[ReturnItem, list[BoundField]]]:
        """Return each item with its field."""
        return [(item, [self[f"approved_{item.pk}"]]) for item in self.items]

    def units(self) -> dict[int, int]:
        """Return the approved units, by the item's id."""
        return {item.pk: self.cleaned_data[f"approved_{item.pk}"] or 0 for item in self.items}


class InspectForm(forms.Form):
    """What became of the units of an approved return."""

    def __init__(self, *args: Any, items: Sequence[ReturnItem], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.items = [item for item in items if item.approved]
        for item in self.items:
            for state in Inspected._fields:
                short = state.capitalize()
                label = f"{short} units of {item.sale_item.product_name}"
                self.fields[f"{state}_{item.pk}"] = _units(label, item.approved, short=short)

    def rows(self) -> list[tuple[ReturnItem, list[BoundField]]]:
        """Return each item with its fields."""
        return [
            (item, [self[f"{state}_{item.pk}"] for state in Inspected._fields])
            for item in self.items
        ]

    def inspected(self) -> dict[int, Inspected]:
        """Return what became of the units, by the item's id."""
        data = self.cleaned_data
        return {
            item.pk: Inspected(*(data[f"{state}_{item.pk}"] or 0 for state in Inspected._fields))
            for item in self.items
        }


class WorthForm(forms.Form):
    """How much of a received return's worth is refunded."""

    message = _words(
        "Message to the customer", help_text="Needed if you refund less than the units are worth."
    )

    def __init__(self, *args: Any, worth: Decimal, currency: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["amount"] = _amount(f"Amount in {currency}", initial=worth, min_value=0)
        self.order_fields(["amount"])


class PaidOtherwiseForm(forms.Form):
    """How the money of a failed refund was paid back."""

    message = _words(
        "How it was paid back",
        required=True,
        help_text="The customer reads it, such as: By bank transfer on 3 May.",
    )


class GoodwillForm(forms.Form):
    """An amount that staff refund without a return."""

    reason = forms.ChoiceField(
        label="Reason",
        choices=[
            (Refund.Reason.GOODWILL.value, "Goodwill"),
            (Refund.Reason.LOST_PARCEL.value, "Lost parcel"),
        ],
    )
    message = _words("Message to the customer", required=True)
    # Submitting the same form twice refunds once.
    form_key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    # What was refunded when the page was opened.
    seen = forms.DecimalField(max_digits=12, decimal_places=2, widget=forms.HiddenInput)

    def __init__(self, *args: Any, currency: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["amount"] = _amount(f"Amount in {currency}", min_value=0)
        self.order_fields(["reason", "amount"])
